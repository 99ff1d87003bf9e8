// SPDX-License-Identifier: Apache-2.0

package claims

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/internal/annotated"
	"github.com/s3populator/s3populator/transfer/retention"
	"github.com/s3populator/s3populator/transfer/schedule"
)

// importNow makes the one import of a token. It is noted on the claim only after the import was seen, as with an
// export, or when there can be none.
func importNow(s state) (decision, bool) {
	token, errs := annotated.ImportOf(s.Claim)
	if token == "" || token == s.Claim.Annotations[v1alpha1.AnnotationImportedNow] {
		return decision{}, false
	}
	noted := decision{Action: note, Annotation: v1alpha1.AnnotationImportedNow, Value: token}
	if len(errs) > 0 || !annotated.Ours(s.Claim) {
		noted.Warning = "Nothing is loaded for the annotation " + v1alpha1.AnnotationImportNow + ": "
		if len(errs) > 0 {
			noted.Warning += errs.ToAggregate().Error()
		} else {
			noted.Warning += "spec.dataSourceRef names no S3Source. Make an S3Import that names one."
		}
		return noted, true
	}
	name := schedule.NowName(s.Claim.Name, string(s.Claim.UID), token)
	if n := slices.IndexFunc(s.Imports, func(i v1alpha1.S3Import) bool { return i.Name == name }); n >= 0 {
		i := &s.Imports[n]
		if comesBack(s, v1alpha1.AnnotationImportedNow, i) && retention.RunOfImport(i).State != retention.Active {
			noted.Reused = reusedNote(v1alpha1.AnnotationImportNow, "S3Import", i)
		}
		return noted, true
	}
	return decision{Action: create, Import: importFor(s.Claim, name)}, true
}

// removeImports removes imports that were made for tokens, one at a time.
func removeImports(s state) (decision, bool) {
	var runs []retention.Run
	for n := range s.Imports {
		if metav1.IsControlledBy(&s.Imports[n], s.Claim) {
			runs = append(runs, retention.RunOfImport(&s.Imports[n]))
		}
	}
	gone := retention.Removable(runs, keep)
	for n := range s.Imports {
		i := &s.Imports[n]
		if slices.Contains(gone, i.Name) && i.DeletionTimestamp == nil &&
			i.Labels[v1alpha1.LabelRole] == v1alpha1.RoleImport && i.Labels[v1alpha1.LabelManagedBy] == v1alpha1.ManagedBy {
			return decision{Action: remove, Import: i}, true
		}
	}
	return decision{}, false
}

// importFor is the S3Import that a token asks for. The claim owns it.
func importFor(claim *corev1.PersistentVolumeClaim, name string) *v1alpha1.S3Import {
	return &v1alpha1.S3Import{
		ObjectMeta: metav1.ObjectMeta{
			Name: name, Namespace: claim.Namespace,
			Labels: map[string]string{
				v1alpha1.LabelManagedBy: v1alpha1.ManagedBy,
				v1alpha1.LabelRole:      v1alpha1.RoleImport,
				v1alpha1.LabelClaimUID:  string(claim.UID),
			},
			OwnerReferences: []metav1.OwnerReference{
				*metav1.NewControllerRef(claim, corev1.SchemeGroupVersion.WithKind("PersistentVolumeClaim")),
			},
		},
		Spec: v1alpha1.S3ImportSpec{SourceName: claim.Spec.DataSourceRef.Name, ClaimName: claim.Name},
	}
}

// importOf tells whether an import is one of this claim that somebody asked for.
func importOf(i *v1alpha1.S3Import, claim *corev1.PersistentVolumeClaim) bool {
	for _, uid := range []string{i.Status.ClaimUID, i.Labels[v1alpha1.LabelClaimUID]} {
		if uid != "" && uid != string(claim.UID) {
			return false
		}
	}
	return !i.IsRecord()
}

// object is what a decision creates or deletes.
func (d decision) object() client.Object {
	if d.Import != nil {
		return d.Import
	}
	return d.Export
}
