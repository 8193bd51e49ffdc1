package shell

import (
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestQuoteOnWindows(t *testing.T) {
	for in, want := range map[string]string{
		`C:\data\in`:    `C:\data\in`,
		`C:\my data\in`: `"C:\my data\in"`,
		`C:\my data\`:   `"C:\my data\\"`,
		`\\host\d$`:     `'\\host\d$'`,
	} {
		if got := quote(in, true); got != want {
			t.Errorf("quote(%s) = %s, want %s", in, got, want)
		}
	}
}

// anything that can be an argument: a NUL cannot.
var anything = rapid.Map(rapid.SliceOf(rapid.ByteRange(1, 255)), func(b []byte) string {
	return string(b)
})

var words = rapid.OneOf(anything, rapid.SampledFrom([]string{
	"--", "--to", "--header=", "-q", "data/**", "a b", "=", "://", "?", "{name}", "X: y",
}))

// What is quoted is printable, and a shell reads the same words from it, as split does.
func TestQuotedCanBePasted(t *testing.T) {
	bash, err := exec.LookPath("bash")
	if err != nil || runtime.GOOS == "windows" {
		t.Skip("no bash")
	}
	var script strings.Builder
	script.WriteString(`penstock() { printf '%s\0' "$@"; }` + "\n")
	var want []string
	rapid.Check(t, func(t *rapid.T) {
		word := words.Draw(t, "word")
		for _, windows := range []bool{false, true} {
			got := split("a "+quote(word, windows)+" b", windows)
			if len(got) != 3 || got[1] != word {
				t.Fatalf("%q is shown as %s and read as %q", word, quote(word, windows), got)
			}
		}
		shown := "penstock " + quote(word, false)
		if strings.ContainsFunc(shown, notShown) {
			t.Fatalf("%q is shown as %q", word, shown)
		}
		script.WriteString(shown + "\n")
		want = append(want, word)
	})
	cmd := exec.Command(bash, "--norc", "-s")
	cmd.Env = []string{"LC_ALL=C"}
	cmd.Stdin = strings.NewReader(script.String())
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
