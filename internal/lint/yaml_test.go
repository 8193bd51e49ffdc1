package lint

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/penstock/penstock/internal/test"
)

// What README shows of Kubernetes can be parsed, gives penstock flags that scripts know, and tells
// the pods of an Indexed Job how many of them there are.
func TestReadmeYAML(t *testing.T) {
	scripts, err := filepath.Glob(filepath.Join(root, "cmd/penstock/testdata/script/*"))
	test.OK(t, err)
	var known strings.Builder
	for _, name := range scripts {
		b, err := os.ReadFile(name)
		test.OK(t, err)
		known.Write(b)
	}
	type container struct {
		Image string
		Args  []string
		Env   []struct{ Name, Value string }
	}
	found, flags := 0, 0
	for _, b := range blocks(readme(t)) {
		if b.kind != "yaml" {
			continue
		}
		found++
		var all struct {
			InitContainers []container `yaml:"initContainers"`
			Spec           struct {
				CompletionMode string `yaml:"completionMode"`
				Completions    int
				Template       struct {
					Spec struct{ Containers []container }
				}
			}
			Rest map[string]any `yaml:",inline"`
		}
		if err := yaml.Unmarshal([]byte(b.text), &all); err != nil {
			t.Errorf("README.md:%d: %v", b.line, err)
			continue
		}
		for _, c := range append(all.InitContainers, all.Spec.Template.Spec.Containers...) {
			for _, arg := range c.Args {
				if !strings.HasPrefix(arg, "--") {
					continue
				}
				if flags++; !strings.Contains(known.String(), arg+" ") {
					t.Errorf("README.md:%d: no script gives %s", b.line, arg)
				}
			}
			env := fmt.Sprint(c.Env)
			want := fmt.Sprintf("{PENSTOCK_SHARDS %d}", all.Spec.Completions)
			if all.Spec.CompletionMode == "Indexed" && !strings.Contains(env, want) {
				t.Errorf("README.md:%d: want %s, got %s", b.line, want, env)
			}
		}
	}
	if found < 2 || flags < 5 {
		t.Errorf("%d blocks with %d flags", found, flags)
	}
}
