package statedir

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
)

func TestDir(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("other systems have other places")
	}
	for _, tt := range []struct {
		env  map[string]string
		want string
	}{
		{map[string]string{"HOME": "/h"}, "/h/.local/state/penstock"},
		{map[string]string{"HOME": "/h", "XDG_STATE_HOME": "/x"}, "/x/penstock"},
		{map[string]string{"HOME": "/h", "XDG_STATE_HOME": "relative"}, "/h/.local/state/penstock"},
		{map[string]string{"HOME": "/h", "XDG_STATE_HOME": "/x", "STATE_DIRECTORY": "/s1:/s2"},
			"/s1"},
		{map[string]string{"STATE_DIRECTORY": "/s1", "PENSTOCK_STATE": "p"}, "p"},
	} {
		for _, name := range []string{"HOME", "XDG_STATE_HOME", "STATE_DIRECTORY",
			"PENSTOCK_STATE"} {
			t.Setenv(name, tt.env[name])
		}
		if dir, err := Dir(); dir != tt.want || err != nil {
			t.Errorf("%v: %q, %v", tt.env, dir, err)
		}
	}
	t.Setenv("PENSTOCK_STATE", "")
	t.Setenv("STATE_DIRECTORY", "")
	if dir, err := Dir(); !errors.As(err, new(*NoDirError)) {
		t.Errorf("without a home: %q, %v", dir, err)
	}
}

func TestFileName(t *testing.T) {
	for _, tt := range []struct{ job, target, method, want string }{
		{"nightly", "https://h/", "PUT", "nightly.db"},
		{"nightly.db", "", "", "nightly.db"},
		{"A-b_c.9", "", "", "A-b_c.9.db"},
		{strings.Repeat("x", 64), "", "", strings.Repeat("x", 64) + ".db"},
		{"", "https://api.example.com/v1/{name}", "PUT", "api.example.com-PUT-HASH.db"},
		{"", "https://user:pass@api.example.com:8443/v1", "POST",
			"api.example.com-8443-POST-HASH.db"},
		{"", "http://[::1]:80/", "POST", "1--80-POST-HASH.db"},
		{"", "https://{region}.example.com/x?token=secret", "PUT",
			"region-.example.com-PUT-HASH.db"},
		{"", "https://user:p{a/ss@example.com/x", "PUT", "target-PUT-HASH.db"},
		{"", "/data/-items.ndjson", "PUT", "manifest--items.ndjson-PUT-HASH.db"},
		{"", "https://почта/{name}", "PUT", "target-PUT-HASH.db"},
		{"", "https://" + strings.Repeat("long.", 50) + "example/", "PUT",
			strings.Repeat("long.", 9) + "lon" + "-PUT-HASH.db"},
		{"", "", "", "manifest--HASH.db"},
	} {
		want := regexp.MustCompile("^" + strings.Replace(regexp.QuoteMeta(tt.want), "HASH",
			"[0-9a-f]{8}", 1) + "$")
		if got, err := FileName(tt.job, tt.target, tt.method); !want.MatchString(got) ||
			err != nil {
			t.Errorf("%v: %q, %v", tt, got, err)
		}
	}
	for _, job := range []string{"a/b", `a\b`, "..", ".", ".db", "a b", "é", "a\n", "-a", "--help",
		"a:b", strings.Repeat("x", 65), "\xff"} {
		if name, err := FileName(job, "https://h/", "PUT"); err == nil ||
			!strings.Contains(err.Error(), "job ") {
			t.Errorf("job %q: %q, %v", job, name, err)
		}
	}
	seen := map[string]bool{}
	for _, target := range []string{"https://h/a", "https://h/b", "http://h/a"} {
		for _, method := range []string{"PUT", "POST"} {
			name, err := FileName("", target, method)
			if again, _ := FileName("", target, method); seen[name] || err != nil || again != name {
				t.Errorf("%s %s: %q, %v", method, target, name, err)
			}
			seen[name] = true
		}
	}
}

func TestTransient(t *testing.T) {
	for _, tt := range []struct {
		fs        string
		container bool
		want      string
	}{
		{"", false, ""},
		{"", true, ""},
		{"nfs", true, ""},
		{"overlay", false, ""},
		{"overlay", true, "inside the container"},
		{"tmpfs", false, "when the machine restarts"},
		{"tmpfs", true, "with the container"},
	} {
		if got := transient(tt.fs, tt.container); (got == "") != (tt.want == "") ||
			!strings.Contains(got, tt.want) {
			t.Errorf("%s, %v: %q", tt.fs, tt.container, got)
		}
	}
	if runtime.GOOS == "linux" && FileSystem("/dev/shm/not/there") != FileSystem("/dev/shm") {
		t.Error("a directory that is to be made is where its parent is")
	}
	if got := Transient(filepath.Join(os.TempDir(), "not", "there")); strings.Contains(got, "\n") {
		t.Errorf("%q", got)
	}
}

func TestInContainer(t *testing.T) {
	t.Setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
	if !inContainer() {
		t.Error("Kubernetes is not noticed")
	}
	t.Setenv("KUBERNETES_SERVICE_HOST", "")
	t.Setenv("container", "podman")
	if !inContainer() {
		t.Error("podman is not noticed")
	}
}
