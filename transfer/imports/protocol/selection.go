// SPDX-License-Identifier: Apache-2.0

package protocol

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/mover/wire"
)

// literalPrefix is the value of prefixMode for a prefix that may end within a name.
const literalPrefix = "Literal"

// Select is what an import loads and where to, as a source that selects just that: what the source itself selects,
// or a part of it, never anything else. Its error names the field and what to do.
//
//	the import names    the source selects          then
//	nothing             anything                    all of it
//	prefix              below its own prefix        what is below the longer prefix
//	objects             below its own prefix        those of them, under the paths that they have there
//	objects             objects                     those of them, with its versions and paths
//	prefix or objects   by include or exclude       an error: globs are about paths below the source's own prefix
//	prefix              objects                     an error
//	deleteExtra         objects                     an error: a list does not say what a directory holds
//
// Without targetPath the files go where a population would put them.
func Select(i v1alpha1.S3ImportSpec, source v1alpha1.S3SourceSpec) (v1alpha1.S3SourceSpec, error) {
	selected := *source.DeepCopy()
	selected.Transfer.Engine = wire.EngineNative
	var err error
	switch {
	case i.Prefix != "":
		err = narrowToPrefix(&selected, i)
	case len(i.Objects) > 0:
		err = narrowToObjects(&selected, i)
	}
	if err == nil && i.DeleteExtra && len(selected.Objects) > 0 {
		err = fmt.Errorf("spec.deleteExtra: S3Source %s names its objects, and a list does not say what a directory holds; "+
			"remove deleteExtra, or name a source with a prefix", i.SourceName)
	}
	if err != nil {
		return v1alpha1.S3SourceSpec{}, err
	}
	place(&selected, i)
	return selected, nil
}

// divisible tells why a part of what a source selects cannot be named.
func divisible(field string, source *v1alpha1.S3SourceSpec, name string) error {
	if len(source.Include) == 0 && len(source.Exclude) == 0 {
		return nil
	}
	return fmt.Errorf("%s: S3Source %s selects with include or exclude, which are about paths below its own prefix; "+
		"remove %s, or name a source without them", field, name, field)
}

func narrowToPrefix(source *v1alpha1.S3SourceSpec, i v1alpha1.S3ImportSpec) error {
	if err := divisible("spec.prefix", source, i.SourceName); err != nil {
		return err
	}
	if len(source.Objects) > 0 {
		return fmt.Errorf("spec.prefix: S3Source %s names its objects; remove prefix, or name some of them in objects",
			i.SourceName)
	}
	whole, base := prefixOf(source)
	prefix := directory(i.Prefix)
	if !strings.HasPrefix(prefix, whole) {
		return fmt.Errorf(
			"spec.prefix: %q is not below %q, which is all that S3Source %s selects; write a whole prefix that "+
				"begins with that, or name another source",
			i.Prefix,
			whole,
			i.SourceName,
		)
	}
	source.TargetPath = path.Join(source.TargetPath, strings.TrimPrefix(prefix, base))
	source.Prefix, source.PrefixMode = prefix, ""
	return nil
}

func narrowToObjects(source *v1alpha1.S3SourceSpec, i v1alpha1.S3ImportSpec) error {
	if err := divisible("spec.objects", source, i.SourceName); err != nil {
		return err
	}
	objects := make([]v1alpha1.S3Object, 0, len(i.Objects))
	for _, o := range i.Objects {
		selected, err := objectOf(source, o, i.SourceName)
		if err != nil {
			return err
		}
		objects = append(objects, selected)
	}
	source.Prefix, source.PrefixMode, source.Objects = "", "", objects
	return nil
}

// objectOf is an object as the source selects it.
func objectOf(source *v1alpha1.S3SourceSpec, o v1alpha1.S3Object, name string) (v1alpha1.S3Object, error) {
	whole, base := prefixOf(source)
	own := v1alpha1.S3Object{Key: o.Key, Path: strings.TrimPrefix(o.Key, base)}
	if len(source.Objects) > 0 {
		at := slices.IndexFunc(source.Objects, func(s v1alpha1.S3Object) bool { return s.Key == o.Key })
		if at < 0 {
			return o, fmt.Errorf("spec.objects: S3Source %s does not name %q; remove it, or name another source", name, o.Key)
		}
		own = source.Objects[at]
	} else if !strings.HasPrefix(o.Key, whole) || strings.HasPrefix(own.Path, wire.JournalDir+"/") {
		return o, fmt.Errorf("spec.objects: %q is not below %q, which is all that S3Source %s selects; write the whole key "+
			"of an object below it, or name another source", o.Key, whole, name)
	}
	if o.VersionID != "" && o.VersionID != own.VersionID {
		return o, fmt.Errorf(
			"spec.objects: S3Source %s selects another version of %q; remove versionId, or name a source that "+
				"selects that version",
			name,
			o.Key,
		)
	}
	if o.Path != "" {
		own.Path = o.Path
	}
	return own, nil
}

// place puts what is selected at targetPath. One object without a path of its own is the file there, unless that ends
// in a slash.
func place(source *v1alpha1.S3SourceSpec, i v1alpha1.S3ImportSpec) {
	if i.TargetPath == "" {
		return
	}
	named := i.Objects
	if len(named) == 0 {
		named = source.Objects
	}
	source.TargetPath = strings.TrimSuffix(i.TargetPath, "/")
	if len(named) != 1 || named[0].Path != "" || strings.HasSuffix(i.TargetPath, "/") {
		return
	}
	source.Objects[0].Path = path.Base(i.TargetPath)
	if source.TargetPath = path.Dir(i.TargetPath); source.TargetPath == "." {
		source.TargetPath = ""
	}
}

// prefixOf is what every key of a source begins with, and what of it is cut off to get a path: a literal prefix that
// ends within a name keeps that.
func prefixOf(source *v1alpha1.S3SourceSpec) (whole, base string) {
	whole = source.Prefix
	if whole != "" && source.PrefixMode != literalPrefix {
		whole = directory(whole)
	}
	return whole, whole[:strings.LastIndexByte(whole, '/')+1]
}

func directory(prefix string) string {
	if strings.HasSuffix(prefix, "/") {
		return prefix
	}
	return prefix + "/"
}
