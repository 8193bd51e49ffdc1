package main

import (
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/penstock/penstock/internal/item"
)

// given is the command penstock send with these arguments.
func given(t testing.TB, args ...string) command {
	t.Helper()
	c, err := readCommand(sendCommand(nil).Flags(), args)
	if err != nil {
		t.Fatalf("%q: %v", args, err)
	}
	return c
}

func TestCommand(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("quotes otherwise")
	}
	for _, tt := range []struct {
		args []string
		want string
	}{
		{nil, ``},
		{[]string{"--rps", "3000/min", "--to", "https://h/v1/files/{name}", "data/"},
			` --rps 3000/min --to "https://h/v1/files/{name}" data/`},
		{[]string{"--only=failed,unknown", "data/**/*.json", "-qv", "my file"},
			` --only "failed,unknown" "data/**/*.json" --quiet --verbose "my file"`},
		{[]string{"--again", "--idempotent=X-Key", "--verify=false", "-"},
			` --again --idempotent=X-Key --verify=false -`},
		{[]string{"a", "--", "--to", "-q", "-"}, ` a -- --to -q -`},

		// Values of headers.
		{[]string{"--header", "X-Api-Key: sesame"}, ` --header "X-Api-Key: ***"`},
		{[]string{"--header=X-Api-Key:sesame"}, ` --header "X-Api-Key: ***"`},
		{[]string{"--header", "Cookie: a=b; c=https://sesame"}, ` --header "Cookie: ***"`},
		{[]string{"-H", "Accept: application/json", "--header=content-type:a/b"},
			` --header "Accept: application/json" --header content-type:a/b`},
		{[]string{"-H", "User-Agent: me https://u:sesame@h"},
			` --header "User-Agent: me https://h"`},
		{[]string{"-H", "Accept-Token-X: sesame"}, ` --header "Accept-Token-X: ***"`},
		{[]string{"--header", "A: sesame https://u:p@h"}, ` --header "A: ***"`},
		{[]string{"--header", "sesame"}, ` --header "***"`},
		{[]string{"--header", "open sesame: x"}, ` --header "***"`},
		{[]string{"--header", "--header", "A: sesame"},
			` --header "***" "A: sesame"`}, // a file's name
		{[]string{"--exclude", "--to", "--header=A: sesame"}, ` --exclude --to --header "A: ***"`},
		{[]string{"--header-file", "h: x"}, ` --header-file "h: x"`},

		// URLs.
		{[]string{"--to", "https://u:sesame@h/{path}?token=sesame&name={name}"},
			` --to "https://h/{path}?token=***&name={name}"`},
		{[]string{"--to=https://h/x?{name}&sesame&a=b{stem}.{ext}&c="},
			` --to "https://h/x?{name}&***&a=***{stem}***{ext}&***"`},
		{[]string{"--to", "https://h/x?a={not a name}"}, ` --to "https://h/x?a=***"`},
		{[]string{"--to", "https://h/x?"}, ` --to "https://h/x?"`},
		{[]string{"--to", "https://u:ses/ame@h/"}, ` --to "***"`},
		{[]string{"--to", "https://h/https://u:sesame@i/?k=v"},
			` --to "https://h/https://i/?k=***"`},
		{[]string{"--to", "lab:strict/{name}?rps=20"}, ` --to "lab:strict/{name}?rps=20"`},
		{[]string{"--proxy", "http://u:sesame@proxy:3128"}, ` --proxy http://proxy:3128`},
		{[]string{"--proxy=u:sesame@proxy:3128"}, ` --proxy proxy:3128`},
		{[]string{"--manifest", "https://u:p@h/?k={name}"}, ` --manifest "https://h/?k=***"`},
		{[]string{"--manifest=HTTPS:/u:sesame@h/"}, ` --manifest HTTPS:/h/`},
		{[]string{"a=https://u:sesame@h/?x"}, ` "a=https://h/?***"`},
		{[]string{"://sesame"}, ` "***"`},
		{[]string{"a:b@c", "d?e=f", "k=v"}, ` "a:b@c" "d?e=f" k=v`},

		// Words of a shell.
		{[]string{""}, ` ""`},
		{[]string{"it's", "$HOME", "`ls`", `a\b`, `"`, "wow!", "it's $5", "~", "*", "#1", "=x",
			"a&b"},
			` "it's" '$HOME' '` + "`ls`" +
				`' 'a\b' '"' 'wow!' 'it'\''s $5' "~" "*" "#1" "=x" "a&b"`},
		{[]string{"a\nb", "\x1b[31m", "it's\t", "\xff\xfe", "\u202egpj", "é", "日本"},
			` $'a\012b' $'\033[31m' $'it\'s\011' $'\377\376' $'\342\200\256gpj' é 日本`},
	} {
		got := given(t, tt.args...).String()
		if got != "penstock send"+tt.want {
			t.Errorf("%q\n got %s\nwant penstock send%s", tt.args, got, tt.want)
		}
		// What a journal has of it reads the same.
		if c, ok := storedCommand(got); !ok || c.String() != got {
			t.Errorf("%s\nis stored, and read as\n%s, %v", got, c, ok)
		}
	}
	for _, text := range []string{
		"", "penstock", "penstock lab strict", "penstock send --of-another-version data",
		`"penstock" "send" --to`,
	} {
		if c, ok := storedCommand(text); ok {
			t.Errorf("%s\nis read as\n%s", text, c)
		}
	}
}

const planted = "S3sAm3"

// anything that can be an argument: a NUL cannot.
var anything = rapid.Map(rapid.SliceOf(rapid.ByteRange(1, 255)), func(b []byte) string {
	return string(b)
})

func TestCommandKeepsSecrets(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		clean := func(label, without string) string {
			return strings.Map(func(r rune) rune {
				if strings.ContainsRune(without, r) {
					return 'x'
				}
				return r
			}, anything.Draw(t, label))
		}
		var secret string
		flag := rapid.SampledFrom([]string{"header", "to", "proxy", "manifest", ""}).Draw(t, "flag")
		kind := rapid.SampledFrom([]string{"user", "query", "whole query"}).Draw(t, "kind")
		switch {
		case flag == "header":
			secret = "X-Key: " + anything.Draw(t, "before") + planted + anything.Draw(t, "after")
		case kind == "user":
			secret = "https://u:" + clean("before", "/") + planted + clean("after", "/") + "@h/x"
		case kind == "query" && flag == "to":
			secret = "https://h/{path}?n={name}&k=" +
				clean("before", "&{}") + planted + clean("after", "{}") + "&n={name}"
		default:
			secret = "https://h/x?" + planted + clean("after", "={}")
		}
		args := []string{"--rps", "4", "--" + flag + "=" + secret, "data"}
		if flag == "" {
			args[2] = secret
		}
		c, err := readCommand(sendCommand(nil).Flags(), args)
		if err != nil {
			t.Fatal(err)
		}
		shown := c.String()
		if strings.Contains(shown, planted) {
			t.Fatalf("%q is shown as %s", args, shown)
		}
		if again, ok := storedCommand(shown); !ok || again.String() != shown {
			t.Fatalf("%s is shown as %s", shown, again)
		}
	})
}

func TestCommandToGoOn(t *testing.T) {
	again := time.Date(2026, 11, 20, 22, 14, 0, 0, time.UTC)
	type does = func(command) command
	only := func(states ...string) does {
		return func(c command) command { return c.only(states...) }
	}
	goOn := func(byResults bool, left ...string) does {
		return func(c command) command { return c.goingOn(byResults, left...) }
	}
	since := func(again time.Time) does { return func(c command) command { return c.again(again) } }
	for _, tt := range []struct {
		args []string
		do   does
		want string
	}{
		{[]string{"--only", "unknown", "--rps", "1", "data"}, only("failed"),
			` --only failed --rps 1 data`},
		{[]string{"data", "--only", "failed,unknown"}, only("failed"), ` --only failed data`},
		{[]string{"--from", "my results", "--only=delivered,skipped", "--", "--only", "a"},
			only("failed"), ` --only failed -- --only a`},
		{[]string{"a --only b"}, only("failed", "deferred"),
			` --only "failed,deferred" "a --only b"`},

		// A run of --only that is broken off goes on also with what it has deferred.
		{[]string{"--only", "failed"}, goOn(false, "failed", "deferred"),
			` --only "failed,deferred"`},
		{[]string{"--only", "failed, deferred"}, goOn(false, "deferred"),
			` --only "failed, deferred"`},
		{[]string{"--only", "failed"}, goOn(true, "deferred"), ` --only failed`},
		{[]string{"data"}, goOn(false, "deferred"), ` data`},

		// What goes on with --again, or with --only delivered, does not begin anew.
		{[]string{"--only", "delivered", "data"}, since(again),
			` --again=2026-11-20T22:14:00.000Z --only delivered data`},
		{[]string{"data", "--again"}, since(again), ` --again=2026-11-20T22:14:00.000Z data`},
		{[]string{"data"}, since(time.Time{}), ` data`},
	} {
		if got := tt.do(given(t, tt.args...)).String(); got != "penstock send"+tt.want {
			t.Errorf("%q\n  gives %s", tt.args, got)
		}
	}
}

// A journal shows what is left to do also by the results of another run.
func TestAfterRuns(t *testing.T) {
	left := map[item.Fate]int64{
		item.Failed: 2, item.Deferred: 1, item.Unknown: 1, item.InFlight: 1, item.Delivered: 9,
	}
	const unknown = "to send the 2 unknown again, which may have arrived: penstock send "
	for _, tt := range []struct {
		args            []string
		byResults, well bool
		want            []string
	}{
		{[]string{"data"}, false, true,
			[]string{"last command: penstock send data", unknown + "--only unknown data"}},
		{[]string{"--again=2026-11-29T05:29:58.967Z", "data"}, false, false, []string{
			"to go on (what was sent since then is skipped): penstock send " +
				"--again=2026-11-29T05:29:58.967Z data",
			unknown + "--only unknown --again=2026-11-29T05:29:58.967Z data",
		}},
		{[]string{"--only", "failed", "-"}, false, false, []string{
			`to go on: penstock send --only "failed,deferred" -`, unknown + "--only unknown -",
			"give the same paths on standard input",
		}},
		{[]string{"--manifest", "r", "--only", "failed"}, true, false, []string{
			"to go on: penstock send --manifest r --only failed",
			unknown + "--resend-unknown --manifest r --only failed",
		}},
		{[]string{"--from", "r", "--only", "failed", "--header", "A: b"}, true, false, []string{
			`to go on: penstock send --from r --only failed --header "A: ***"`,
			`to send the 2 failed again: penstock send --only failed --header "A: ***"`,
			unknown + `--only unknown --header "A: ***"`, "give your own values for ***",
		}},
	} {
		got := given(t, tt.args...).afterRuns(tt.byResults, left, tt.well)
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%q: %s", tt.args, diff)
		}
	}
}
