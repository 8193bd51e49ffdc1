package bulk

import (
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
	"pgregory.net/rapid"

	"github.com/penstock/penstock/internal/curl"
)

var update = flag.Bool("update", false, "rewrite the scripts of the examples")

// The scripts for examples as the documentation of APIs has them. That they do what curl does, a
// test of cmd/penstock finds.
func TestExamples(t *testing.T) {
	names, err := filepath.Glob("testdata/examples/*.txtar")
	if err != nil || len(names) < 30 {
		t.Fatalf("%d examples: %v", len(names), err)
	}
	for _, name := range names {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(name)
			if err != nil {
				t.Fatal(err)
			}
			var text, want string
			at := -1
			for i, f := range archive.Files {
				switch f.Name {
				case "curl":
					text = string(f.Data)
				case "script":
					want, at = string(f.Data), i
				}
			}
			got := script(t, text)
			if *update {
				f := txtar.File{Name: "script", Data: []byte(got)}
				if at < 0 {
					archive.Files = append(archive.Files, f)
				} else {
					archive.Files[at] = f
				}
				if err := os.WriteFile(name, txtar.Format(archive), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("differs (-want +got), -update rewrites it:\n%s", diff)
			}
		})
	}
}

func script(t *testing.T, text string) string {
	t.Helper()
	c, err := curl.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	got, err := Script(c)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestErrors(t *testing.T) {
	for text, want := range map[string]string{
		"curl https://h/x":                    "this is a GET without a body",
		"curl -X DELETE https://h/x":          "this is a DELETE without a body",
		"curl -I https://h/x":                 "this is a HEAD without a body",
		"curl -X GET -d '{}' https://h/x":     "this is a GET with a body",
		"curl --data-urlencode a@b https://h": "penstock cannot",
		"curl -d a=1 -d @b https://h":         "as the whole body",
	} {
		c, err := curl.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		if _, err = Script(c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}

// The file has commands, and what is to be in their scripts.
func TestLines(t *testing.T) {
	text, err := os.ReadFile("testdata/lines.txt")
	if err != nil {
		t.Fatal(err)
	}
	got, flat := "", ""
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSuffix(line, "\n")
		want, found := strings.CutPrefix(line, "\t")
		if !found {
			got = script(t, "curl "+line)
			flat = strings.ReplaceAll(got, "\n#  ", "") // a comment is one line
			continue
		}
		if !strings.Contains(flat, want) {
			t.Errorf("no %s in\n%s", want, got)
		}
	}
}

// No secret of the example is on the command line of penstock: it is in a file, or in a variable.
func TestSecretsAreInNoCommandLine(t *testing.T) {
	for _, text := range []string{
		"-H 'Authorization: Bearer sesame-1'", "-H 'X-Api-Key: sesame-1'", "-u ann:sesame-1",
		"-u sesame-1:", "-b session=sesame-1", "--oauth2-bearer sesame-1", "-x http://u:sesame-1@h",
		"-F token=sesame-1", "'https://h/?api_key=sesame-1'", "https://h/bot12345:sesame-1-abc/x",
		"https://ann:sesame-1@h/",
	} {
		if !strings.Contains(text, "https://") {
			text += " https://h/"
		}
		_, command, found := strings.Cut(script(t, "curl -F a=@b.jpg "+text), "\npenstock send")
		if !found || strings.Contains(command, "sesame") {
			t.Errorf("%s: %s", text, command)
		}
	}
}

func TestWordsAreReadByShells(t *testing.T) {
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Skip("no sh")
	}
	var text strings.Builder
	text.WriteString("X=$(printf 'a b\\nc')\np() { printf '%s\\0' \"$@\"; }\n")
	var want []string
	anything := rapid.Map(rapid.SliceOf(rapid.ByteRange(1, 255)), func(b []byte) string {
		return string(b)
	})
	usual := rapid.SampledFrom([]string{"a'b", `a"b`, "$X", "`x`", "!a", "a b", `\`, "é",
		"\x1b[m", "-"})
	rapid.Check(t, func(t *rapid.T) {
		before := rapid.OneOf(anything, usual).Draw(t, "before")
		after := rapid.OneOf(anything, usual).Draw(t, "after")
		marked := before + curl.Mark + "$X" + curl.Mark + after
		text.WriteString("p " + word(before) + " " + word(marked) + "\n")
		want = append(want, before, before+"a b\nc"+after)
	})
	cmd := exec.Command(sh)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	cmd.Stdin = strings.NewReader(text.String())
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// A script has the comments and the words that it is to have, whatever the example is.
func FuzzScript(f *testing.F) {
	names, _ := filepath.Glob("testdata/examples/*.txtar")
	for _, name := range names {
		archive, err := txtar.ParseFile(name)
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range archive.Files {
			if file.Name == "curl" {
				f.Add(string(file.Data))
			}
		}
	}
	f.Fuzz(func(t *testing.T, text string) {
		c, err := curl.Parse(text)
		if err != nil {
			return
		}
		got, err := Script(c)
		if err != nil {
			return
		}
		if strings.ContainsAny(got, curl.Mark+"\x1b") && !strings.Contains(text, "\x1b") ||
			!strings.HasSuffix(got, "add --dry-run.\n") {
			t.Errorf("%q: %q", text, got)
		}
	})
}
