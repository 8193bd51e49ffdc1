package main

import (
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestShownCommand(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("quotes otherwise")
	}
	for _, tt := range []struct {
		args []string
		want string
	}{
		{nil, `penstock`},
		{[]string{"send", "--rps", "3000/min", "--to", "https://h/v1/files/{name}", "data/"},
			`penstock send --rps 3000/min --to "https://h/v1/files/{name}" data/`},
		{[]string{"send", "--only=failed,unknown", "data/**/*.json", "my file"},
			`penstock send "--only=failed,unknown" "data/**/*.json" "my file"`},

		// Values of headers.
		{[]string{"--header", "X-Api-Key: sesame"}, `penstock --header "X-Api-Key: ***"`},
		{[]string{"--header=X-Api-Key:sesame"}, `penstock "--header=X-Api-Key: ***"`},
		{[]string{"--header", "Cookie: a=b; c=https://sesame"}, `penstock --header "Cookie: ***"`},
		{[]string{"data", "--header=A: sesame https://u:p@h"}, `penstock data "--header=A: ***"`},
		{[]string{"--header", "sesame"}, `penstock --header "***"`},
		{[]string{"--header", "open sesame: x"}, `penstock --header "***"`},
		{[]string{"--header", "--header", "A: sesame"}, `penstock --header "***" "A: ***"`},
		{[]string{"--exclude", "--to", "--header=A: sesame"}, `penstock --exclude --to "***"`},
		{[]string{"--header-file", "h: x", "--header"}, `penstock --header-file "h: x" --header`},

		// URLs.
		{[]string{"--to", "https://u:sesame@h/{path}?token=sesame&name={name}"}, `penstock --to "https://h/{path}?token=***&name={name}"`},
		{[]string{"--to=https://h/x?{name}&sesame&a=b{stem}.{ext}&c="}, `penstock "--to=https://h/x?{name}&***&a=***{stem}***{ext}&***"`},
		{[]string{"--to", "https://h/x?a={not a name}"}, `penstock --to "https://h/x?a=***"`},
		{[]string{"--to", "https://h/x?"}, `penstock --to "https://h/x?"`},
		{[]string{"--to", "https://u:ses/ame@h/"}, `penstock --to "***"`},
		{[]string{"--to", "https://h/https://u:sesame@i/?k=v"}, `penstock --to "https://h/https://i/?k=***"`},
		{[]string{"--to", "lab:strict/{name}?rps=20"}, `penstock --to "lab:strict/{name}?rps=20"`},
		{[]string{"--proxy", "http://u:sesame@proxy:3128"}, `penstock --proxy http://proxy:3128`},
		{[]string{"--proxy=u:sesame@proxy:3128"}, `penstock --proxy=proxy:3128`},
		{[]string{"--manifest", "https://u:p@h/?k={name}"}, `penstock --manifest "https://h/?k=***"`},
		{[]string{"--manifest=HTTPS:/u:sesame@h/"}, `penstock --manifest=HTTPS:/h/`},
		{[]string{"a=https://u:sesame@h/?x"}, `penstock "a=https://h/?***"`},
		{[]string{"://sesame"}, `penstock "***"`},
		{[]string{"a:b@c", "d?e=f", "k=v"}, `penstock "a:b@c" "d?e=f" k=v`},

		// Words of a shell.
		{[]string{""}, `penstock ""`},
		{[]string{"it's", "$HOME", "`ls`", `a\b`, `"`, "wow!", "it's $5", "~", "*", "#1", "=x", "a&b"},
			`penstock "it's" '$HOME' '` + "`ls`" + `' 'a\b' '"' 'wow!' 'it'\''s $5' "~" "*" "#1" "=x" "a&b"`},
		{[]string{"a\nb", "\x1b[31m", "it's\t", "\xff\xfe", "\u202egpj", "é", "日本"},
			`penstock $'a\012b' $'\033[31m' $'it\'s\011' $'\377\376' $'\342\200\256gpj' é 日本`},
	} {
		if got := shownCommand(tt.args); got != tt.want {
			t.Errorf("%q\n got %s\nwant %s", tt.args, got, tt.want)
		}
	}
}

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

const planted = "S3sAm3"

// anything that can be an argument: a NUL cannot.
var anything = rapid.Map(rapid.SliceOf(rapid.ByteRange(1, 255)), func(b []byte) string { return string(b) })

var words = rapid.OneOf(anything, rapid.SampledFrom([]string{
	"send", "--", "--to", "--header", "--proxy", "--header=", "--to=", "--exclude", "-q", "data/**", "a b", "=", "://", "https://", "?", "{name}", "X: y",
}))

func TestShownCommandKeepsSecrets(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		clean := func(label, without string) string {
			return strings.Map(func(r rune) rune {
				if strings.ContainsRune(without, r) {
					return 'x'
				}
				return r
			}, anything.Draw(t, label))
		}
		var secret []string
		switch rapid.IntRange(0, 5).Draw(t, "kind") {
		case 0:
			secret = []string{"--header", "X-Key: " + anything.Draw(t, "before") + planted + anything.Draw(t, "after")}
		case 1:
			secret = []string{"--header=X-Key:" + anything.Draw(t, "before") + planted + anything.Draw(t, "after")}
		case 2:
			flag := rapid.SampledFrom([]string{"--to", "--proxy", "--manifest", "data"}).Draw(t, "flag")
			secret = []string{flag, "https://u:" + clean("before", "/") + planted + clean("after", "/") + "@h/{path}"}
		case 3:
			flag := rapid.SampledFrom([]string{"--to", "--proxy", "--manifest"}).Draw(t, "flag")
			secret = []string{flag + "=https://u:" + clean("before", "/") + planted + clean("after", "/") + "@h/{path}"}
		case 4:
			secret = []string{"--to", "https://h/{path}?k=" + clean("before", "&{}") + planted + clean("after", "{}") + "&n={name}"}
		case 5:
			secret = []string{"https://h/x?" + planted + clean("after", "=")}
		}
		args := append(rapid.SliceOf(words).Draw(t, "first"), secret...)
		args = append(args, rapid.SliceOf(words).Draw(t, "last")...)
		if got := shownCommand(args); strings.Contains(got, planted) {
			t.Fatalf("%q is shown as %s", args, got)
		}
	})
}

// What is shown is printable, and a shell reads the same arguments from it.
func TestShownCommandCanBePasted(t *testing.T) {
	bash, err := exec.LookPath("bash")
	if err != nil || runtime.GOOS == "windows" {
		t.Skip("no bash")
	}
	var script strings.Builder
	script.WriteString(`penstock() { printf '%s\0' "$@"; }` + "\n")
	var want []string
	rapid.Check(t, func(t *rapid.T) {
		word := words.Draw(t, "word")
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

// What goes on with --only delivered does not begin anew.
func TestContinuingOnlyDelivered(t *testing.T) {
	again := time.Date(2026, 11, 20, 22, 14, 0, 0, time.UTC)
	got := continuing([]string{"send", "--only", "delivered", "data"}, again)
	if want := "penstock send --again=2026-11-20T22:14:00.000Z --only delivered data"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
