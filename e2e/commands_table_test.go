// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

const (
	byHand   = "chart.TestInstallCommands"
	byHelm   = "chart.TestLifeOfARelease"
	noVelero = "there is no Velero on the node; what it restores is played in TestRestoredWithItsVolume"
	noArgo   = "there is no Argo CD and no Flux on the node; their interpreters run the checks in manifests/gitops"
	noPush   = "there is no registry on the node: chart.TestInstallCommands gives it the images under the names that " +
		"they would have"
	itself    = "it runs the stories themselves"
	mentioned = "the sentence names the command, and not what for"
)

// commands are all that the documents tell their readers to type, those that are run here in
// the order in which they are.
var commands = []command{
	{line: "kubectl get s3sources", says: "AccessDenied"},
	{line: "kubectl describe s3source SOURCE", says: "AccessDenied"},
	{line: "kubectl describe pvc CLAIM", says: "AccessDenied"},
	{line: "kubectl describe pvc imagenet", says: "s3populator.io/Populated"},
	{line: "kubectl describe pvc s3prime-UID", says: "Bound"},
	{line: "kubectl describe pv VOLUME", says: "s3populator.io/scratch-for"},
	{line: "kubectl get pvc CLAIM -o yaml", says: "dataSourceRef"},
	{line: "kubectl get s3imports -w", says: "Failed"},
	{line: "kubectl logs populate-UID", says: "failed: AccessDenied"},
	{line: "kubectl get pods,pvc -l s3populator.io/claim-uid=UID", says: "persistentvolumeclaim/s3prime-"},
	{line: "kubectl -n s3populator-system get pods", says: "Running"},
	{line: "kubectl -n s3populator-system logs deploy/s3populator --all-pods", says: "pod/s3populator-"},
	{line: "kubectl -n s3populator-system rollout status deploy/s3populator", says: "successfully rolled out"},
	{line: `kubectl patch pv VOLUME -p '{"spec":{"persistentVolumeReclaimPolicy":"Delete"}}'`, says: "patched"},
	{line: "kubectl annotate storageclass NAME s3populator.io/honours-data-source=true", says: "annotated"},
	{line: "kubectl label namespace NAMESPACE s3populator.io/admission=exempt", says: "labeled"},
	{line: "kubectl label namespace NAMESPACE s3populator.io/admission-", says: "unlabeled"},
	{line: "kubectl label namespace ml s3populator.io/injection=required", says: "labeled"},
	{
		line: "kubectl taint nodes NODE node.kubernetes.io/out-of-service=nodeshutdown:NoExecute",
		says: "tainted",
		dry:  true,
	},
	{line: "kubectl -n s3populator-system scale deployment s3populator --replicas=2", says: "scaled", dry: true},
	{line: "kubectl delete node NODE", says: "deleted", dry: true},
	{line: "kubectl delete pvc s3prime-UID", says: "deleted", dry: true},
	{line: "kubectl delete pod populate-UID", says: "deleted", dry: true},
	{
		line:   `kubectl annotate s3source imagenet --overwrite s3populator.io/refresh="$(date +%s)"`,
		says:   "annotated",
		before: corrected,
	},
	{line: `kubectl annotate pvc CLAIM --overwrite s3populator.io/retry="$(date +%s)"`, says: "annotated"},
	{line: "kubectl annotate pvc CLAIM s3populator.io/skip-final-export=true", says: "annotated", dry: true},
	{line: "kubectl get s3exports -w", story: "TestFinalExport"},

	{
		line: "kubectl create clusterrolebinding issuer-discovery --clusterrole=system:service-account-issuer-discovery " +
			"--group=system:unauthenticated",
		story: "TestMinIOSTS",
	},
	{line: "cat > reader.json <<END", story: "TestMinIOSTS"},
	{line: "kubectl wait --for=condition=Complete s3import/imagenet-labels-1", story: "TestImportSample"},
	{
		line:  `kubectl annotate pvc imagenet --overwrite s3populator.io/import-now="$(date +%s)"`,
		story: "TestImportByAnnotation",
	},
	{line: "kubectl wait --for=condition=Complete s3export/results-1", story: "TestExportSample"},
	{line: "kubectl get s3export results-1 -o jsonpath='{.status.prefix}'", story: "TestExportSample"},
	{line: "kubectl get s3exports", story: "TestExportBySchedule"},
	{line: "kubectl get pods -l s3populator.io/export-uid=UID", story: "TestExportInShards"},
	{line: "kubectl delete pvc CLAIM", story: "TestFinalExport"},
	{line: "kubectl label pvc results s3populator.io/export=nightly", story: "TestExportBySchedule"},
	{line: "kubectl get s3exportpolicies", story: "TestExportBySchedule"},
	{
		line:  `kubectl annotate pvc notebooks --overwrite s3populator.io/export-now="$(date +%s)"`,
		story: "TestExportByAnnotation",
	},
	{
		line: "kubectl get pvc notebooks -o jsonpath='{.status.conditions[?(@.type==\"s3populator.io/Exported\")]" +
			".message}'",
		story: "TestExportByAnnotation",
	},
	{line: "mc admin policy create MINIO reader reader.json", story: "TestMinIOSTS"},
	{line: "kubectl delete clusterrole,clusterrolebinding s3populator-certificates", story: "TestCertManagerComponent"},
	{
		line:  "kubectl -n s3populator-system delete role,rolebinding s3populator-certificates",
		story: "TestCertManagerComponent",
	},
	{line: "kubectl apply --server-side -k manifests/samples/overlay", story: byHand},
	{line: "kubectl apply --server-side -k manifests/default", story: byHand},
	{line: "kubectl -n s3populator-system rollout restart deploy/s3populator", story: byHand},
	{line: "kubectl delete s3exports --all-namespaces -l 's3populator.io/role!=final-export'", story: byHand},
	{
		line: "kubectl -n s3populator-system delete job s3populator-release --ignore-not-found " +
			"--cascade=foreground",
		story: byHand,
	},
	{line: "kubectl apply -k manifests/release", story: byHand},
	{
		line: "kubectl -n s3populator-system wait --for=condition=Complete --timeout=5m " +
			"job/s3populator-release",
		story: byHand,
	},
	{line: "kubectl delete -k manifests/release", story: byHand},
	{line: "kubectl delete -k manifests/default", story: byHand},
	{line: "kubectl delete volumepopulator s3source.s3populator.io --ignore-not-found", story: byHand},
	{line: "kubectl apply -f manifests/policy/claims.yaml", story: byHand},
	{
		line: "helm install s3populator ./manifests/chart --namespace s3populator-system --create-namespace " +
			"--set images.manager.name=registry.example.com/s3populator/manager:dev --set " +
			"images.mover.name=registry.example.com/s3populator/mover:dev",
		story: byHand,
	},
	{line: "helm test s3populator --namespace s3populator-system", story: byHand},
	{line: "helm test s3populator -n s3populator-system", story: byHelm},
	{line: "helm upgrade", story: byHelm},
	{line: "helm uninstall", story: byHelm},
	{line: "kubectl -n s3populator-system logs job/s3populator-release", story: "chart.TestUninstallReleases"},

	{line: "make demo", why: "it is a node of its own, made of the same parts"},
	{line: "make test", why: itself},
	{line: "make images", why: noPush},
	{line: "skopeo copy oci-archive:MANAGER.tar docker://registry.example.com/s3populator/manager:dev", why: noPush},
	{line: "skopeo copy oci-archive:MOVER.tar docker://registry.example.com/s3populator/mover:dev", why: noPush},
	{line: "cat > modifiers.yml <<END", why: noVelero},
	{line: "kubectl -n velero create configmap without-s3 --from-file=modifiers.yml", why: noVelero},
	{
		line: "velero restore create --from-backup BACKUP --resource-modifier-configmap without-s3 " +
			"--exclude-resources=s3imports.s3populator.io,s3exports.s3populator.io",
		why: noVelero,
	},
	{
		line: "kubectl -n argocd patch configmap argocd-cm --type merge --patch-file manifests/gitops/argocd/argocd-cm.yaml",
		why:  noArgo,
	},
	{line: "flux reconcile kustomization NAME", why: noArgo},
	{line: "kubectl describe pvc", why: mentioned},
	{line: "kubectl logs", why: mentioned},
	{line: "kubectl port-forward", why: mentioned},
	{line: "kubectl apply", why: mentioned},
	{line: "kubectl delete pod prune-UID", why: "as `kubectl delete pod populate-UID`"},
	{line: "helm uninstall --no-hooks", why: "it leaves out what chart.TestUninstallReleases plays"},
	{line: "kubectl delete pod --force", why: "the documents warn of it"},
}
