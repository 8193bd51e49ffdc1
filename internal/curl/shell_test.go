package curl

import (
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Texts are split as bash splits them.
func TestSplitAsBash(t *testing.T) {
	bash, err := exec.LookPath("bash")
	if err != nil || runtime.GOOS == "windows" {
		t.Skip("no bash")
	}
	for _, text := range []string{
		`a b	c`, `'a b' "c d" e\ f`, `a'b'"c"d`, `"a\"b\\c\d\$e"`,
		"a \\\n b", "'a\nb'", "\"a\\\nb\"",
		`$'a\n\t\'\\\x41\101\u00e9\e'`, `a#b # c`, `# x` + "\n" + `a`,
		`--x='{"a": [1, 2]}'`, `''`, `""`,
		`a$ $`, `"$" "a$"`, `a 2>/dev/null b >x 2>&1 c`, `[a]? *.none`, `a=b {x} {}`,
		`é "ü"`, `!a`, `a^b`, `a~/b`, `"a'b" 'c"d'`, `a;`, `a &`, `a || b`, `a | cat`,
		"a <<E\nx\nE", "a <<<x b",
	} {
		t.Run(text, func(t *testing.T) {
			cmd := exec.Command(bash, "--norc", "-c", "p() { printf '%s\\0' \"$@\"; }\np "+text)
			cmd.Dir = t.TempDir()
			cmd.Env = []string{"LC_ALL=C.UTF-8"}
			out, err := cmd.Output()
			stmts, ours := split("p " + text)
			if ours != nil || len(stmts) == 0 {
				t.Fatalf("%v; bash: %v", ours, err)
			}
			got := stmts[0].words[1:]
			if strings.Contains(text, ">x") { // where bash writes
				return
			}
			want := strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")
			if len(got) == 0 {
				got = []string{""}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-bash +ours)\n%s", diff)
			}
		})
	}
}

func TestSplit(t *testing.T) {
	for text, want := range map[string]string{
		"a $X ${X}y \"b $X\"":         "a·‹$X›·‹${X}›y·b ‹$X›",
		`a $(b "c)" $(d)) e`:          `a·‹$(b "c)" $(d))›·e`,
		"a `b c`":                     "a·‹`b c`›",
		"a ~/b":                       "a·‹$HOME›/b",
		`a '$X' \$X "\$X" $1`:         "a·$X·$X·$X·‹$1›",
		"a ^\n b":                     "a·b",
		"a `\n b":                     "a·b",
		"a \\  \n b":                  "a·b",
		"a <file> b=<your token>":     "a·<file>·b=<your token>",
		"a\r\nb":                      "a",
		"curl ^\n -H ^\"a: ^\\^\"b\"": `curl·-H·a: "b`,
		"curl.exe -d \"{\\\"a\\\": 1}\" C:\\x\\y": `curl.exe·-d·{"a": 1}·C:\x\y`,
	} {
		stmts, err := split(text)
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		got := strings.Join(stmts[0].words, "·")
		for n := 0; strings.Contains(got, Mark); n++ {
			got = strings.Replace(got, Mark, []string{"‹", "›"}[n%2], 1)
		}
		if got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}

func TestSplitErrors(t *testing.T) {
	for text, want := range map[string]string{
		`a 'b`:        "the quote ' in line 1 has no end",
		"a\nb \"c":    `the quote " in line 2 has no end`,
		`a $'b`:       "the quote ' in line 1 has no end",
		`curl.exe "b`: `the quote " in line 1 has no end`,
		"a $(b":       "has no end",
		"a ${b":       "has no end",
		"a `b":        "has no end",
		"a (b)":       "a ( outside quotes",
		"a <<E\nx":    "the here-document has no end: a line E",
		"a >":         "nothing follows the >",
		"a\x00b":      "NUL",
		`a $'b\0'`:    "NUL",
		"a “b”":       "a typographic quote (“)",
		"a –data":     "a typographic dash (–)",
	} {
		if _, err := split(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}
