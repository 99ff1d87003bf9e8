// SPDX-License-Identifier: Apache-2.0

package protocol

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/s3populator/s3populator/api/v1alpha1"
)

type (
	source  = v1alpha1.S3SourceSpec
	objects = []v1alpha1.S3Object
)

// What an import loads is never more than what its source selects, and lands where a population would put it or below
// targetPath.
func TestSelect(t *testing.T) {
	t.Parallel()
	models := source{Prefix: "models", TargetPath: "data"}
	named := source{TargetPath: "data", Objects: objects{{Key: "a/x.bin", Path: "x", VersionID: "1"}, {Key: "a/y.bin"}}}
	for name, tt := range map[string]struct {
		from source
		spec v1alpha1.S3ImportSpec
		want source // Without the engine.
	}{
		"all of a source": {models, v1alpha1.S3ImportSpec{}, models},
		"all of it, elsewhere": {
			models, v1alpha1.S3ImportSpec{TargetPath: "new/place/"}, source{Prefix: "models", TargetPath: "new/place"},
		},
		"a part, in its place": {
			models, v1alpha1.S3ImportSpec{Prefix: "models/beta"}, source{Prefix: "models/beta/", TargetPath: "data/beta"},
		},
		"a part, elsewhere": {
			models,
			v1alpha1.S3ImportSpec{Prefix: "models/beta/", TargetPath: "new"},
			source{Prefix: "models/beta/", TargetPath: "new"},
		},
		"all of it by its prefix": {
			models, v1alpha1.S3ImportSpec{Prefix: "models/"}, source{Prefix: "models/", TargetPath: "data"},
		},
		"a part of a whole bucket": {
			source{}, v1alpha1.S3ImportSpec{Prefix: "a/b"}, source{Prefix: "a/b/", TargetPath: "a/b"},
		},
		"a part of a prefix that ends in a name": {
			source{Prefix: "x/ima", PrefixMode: "Literal"},
			v1alpha1.S3ImportSpec{Prefix: "x/imagenet"},
			source{Prefix: "x/imagenet/", TargetPath: "imagenet"},
		},
		"objects, in their places": {
			models,
			v1alpha1.S3ImportSpec{Objects: objects{{Key: "models/a/x"}, {Key: "models/y", Path: "z"}}},
			source{TargetPath: "data", Objects: objects{{Key: "models/a/x", Path: "a/x"}, {Key: "models/y", Path: "z"}}},
		},
		"one object as a file": {
			models,
			v1alpha1.S3ImportSpec{Objects: objects{{Key: "models/a/x"}}, TargetPath: "new/name.bin"},
			source{TargetPath: "new", Objects: objects{{Key: "models/a/x", Path: "name.bin"}}},
		},
		"one object as a file of the root": {
			models,
			v1alpha1.S3ImportSpec{Objects: objects{{Key: "models/a/x"}}, TargetPath: "name.bin"},
			source{Objects: objects{{Key: "models/a/x", Path: "name.bin"}}},
		},
		"one object into a directory": {
			models,
			v1alpha1.S3ImportSpec{Objects: objects{{Key: "models/a/x"}}, TargetPath: "new/"},
			source{TargetPath: "new", Objects: objects{{Key: "models/a/x", Path: "a/x"}}},
		},
		"one object with a path": {
			models,
			v1alpha1.S3ImportSpec{Objects: objects{{Key: "models/a/x", Path: "n"}}, TargetPath: "new"},
			source{TargetPath: "new", Objects: objects{{Key: "models/a/x", Path: "n"}}},
		},
		"two objects into a directory": {
			models,
			v1alpha1.S3ImportSpec{Objects: objects{{Key: "models/x"}, {Key: "models/y"}}, TargetPath: "new"},
			source{TargetPath: "new", Objects: objects{{Key: "models/x", Path: "x"}, {Key: "models/y", Path: "y"}}},
		},
		"the one object of a source as a file": {
			source{Objects: objects{{Key: "x"}}},
			v1alpha1.S3ImportSpec{TargetPath: "a/b"},
			source{TargetPath: "a", Objects: objects{{Key: "x", Path: "b"}}},
		},
		"some that the source names": {
			named,
			v1alpha1.S3ImportSpec{Objects: objects{{Key: "a/x.bin"}}},
			source{TargetPath: "data", Objects: objects{{Key: "a/x.bin", Path: "x", VersionID: "1"}}},
		},
		"with the version that it names": {
			named,
			v1alpha1.S3ImportSpec{Objects: objects{{Key: "a/x.bin", VersionID: "1", Path: "n"}}},
			source{TargetPath: "data", Objects: objects{{Key: "a/x.bin", Path: "n", VersionID: "1"}}},
		},
		"with filters, all of it": {
			source{Prefix: "p", Include: []string{"*.bin"}},
			v1alpha1.S3ImportSpec{DeleteExtra: true},
			source{Prefix: "p", Include: []string{"*.bin"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			before := tt.from.DeepCopy()
			got, err := Select(tt.spec, tt.from)
			tt.want.Transfer.Engine = "Native"
			if diff := cmp.Diff(tt.want, got); err != nil || diff != "" {
				t.Errorf("selected (-want +got, error %v):\n%s", err, diff)
			}
			if diff := cmp.Diff(*before, tt.from); diff != "" {
				t.Errorf("the source was changed (-before +after):\n%s", diff)
			}
		})
	}
}

// What a source does not select is refused, in words that name the field and what to do.
func TestSelectRefuses(t *testing.T) {
	t.Parallel()
	models := source{Prefix: "models"}
	for name, tt := range map[string]struct {
		from source
		spec v1alpha1.S3ImportSpec
		want []string
	}{
		"another prefix": {
			models, v1alpha1.S3ImportSpec{Prefix: "other/"}, []string{"spec.prefix", `below "models/"`},
		},
		"a prefix that begins so": {models, v1alpha1.S3ImportSpec{Prefix: "models2/"}, []string{"spec.prefix"}},
		"a prefix above":          {source{Prefix: "a/b"}, v1alpha1.S3ImportSpec{Prefix: "a"}, []string{"spec.prefix"}},
		"half a name of a literal": {
			source{Prefix: "im", PrefixMode: "Literal"}, v1alpha1.S3ImportSpec{Prefix: "i"}, []string{"spec.prefix"},
		},
		"a prefix beside include": {
			source{Include: []string{"x"}}, v1alpha1.S3ImportSpec{Prefix: "a"}, []string{"spec.prefix", "without them"},
		},
		"a prefix beside exclude": {
			source{Exclude: []string{"x"}}, v1alpha1.S3ImportSpec{Prefix: "a"}, []string{"spec.prefix", "without them"},
		},
		"a prefix of objects": {
			source{Objects: objects{{Key: "a/b"}}}, v1alpha1.S3ImportSpec{Prefix: "a"}, []string{"spec.prefix", "name some"},
		},
		"an object elsewhere": {
			models, v1alpha1.S3ImportSpec{Objects: objects{{Key: "x"}}}, []string{"spec.objects", `"x" is not below`},
		},
		"an object that begins so": {
			models, v1alpha1.S3ImportSpec{Objects: objects{{Key: "models2/x"}}}, []string{"spec.objects"},
		},
		"an object beside exclude": {
			source{Exclude: []string{"x"}}, v1alpha1.S3ImportSpec{Objects: objects{{Key: "x"}}}, []string{"spec.objects"},
		},
		"what exports keep": {
			models,
			v1alpha1.S3ImportSpec{Objects: objects{{Key: "models/.s3populator/manifest.json"}}},
			[]string{"spec.objects"},
		},
		"an object not named": {
			source{Objects: objects{{Key: "a"}}}, v1alpha1.S3ImportSpec{Objects: objects{{Key: "b"}}}, []string{"does not name"},
		},
		"another version": {
			models, v1alpha1.S3ImportSpec{Objects: objects{{Key: "models/x", VersionID: "1"}}}, []string{"versionId"},
		},
		"another version than that": {
			source{Objects: objects{{Key: "a", VersionID: "2"}}},
			v1alpha1.S3ImportSpec{Objects: objects{{Key: "a", VersionID: "1"}}},
			[]string{"versionId"},
		},
		"extras beside a list": {
			source{Objects: objects{{Key: "a"}}}, v1alpha1.S3ImportSpec{DeleteExtra: true}, []string{"spec.deleteExtra"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := Select(tt.spec, tt.from)
			if err == nil {
				t.Fatalf("selected %+v", got)
			}
			for _, text := range tt.want {
				if !strings.Contains(err.Error(), text) {
					t.Errorf("%q lacks %q", err, text)
				}
			}
		})
	}
}

// Whatever is selected has keys that the source selects, too: a random search for a way around.
func TestSelectNeverWidens(t *testing.T) {
	t.Parallel()
	parts := []string{"", "a", "a/", "a/b", "a/b/", "ab", "ab/", "a/bc", "b/", ".s3populator/", "a/.s3populator/x"}
	for _, own := range parts {
		for _, mode := range []string{"Directory", "Literal"} {
			from := source{Prefix: own, PrefixMode: v1alpha1.PrefixMode(mode)}
			whole, _ := prefixOf(&from)
			for _, wish := range parts[1:] {
				if got, err := Select(v1alpha1.S3ImportSpec{Prefix: wish}, from); err == nil {
					if narrowed, _ := prefixOf(&got); !strings.HasPrefix(narrowed, whole) {
						t.Errorf("%s of %q (%s) selects %q", wish, own, mode, narrowed)
					}
				}
				got, err := Select(v1alpha1.S3ImportSpec{Objects: objects{{Key: wish}}}, from)
				if err == nil && !strings.HasPrefix(got.Objects[0].Key, whole) {
					t.Errorf("object %s of %q (%s) is selected", wish, own, mode)
				}
			}
		}
	}
}
