package curl

import (
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestParse(t *testing.T) {
	for text, want := range map[string]Command{
		"curl -sSLXPOST -d@a.json -dx=1 h/x -H 'A:  b ' -H C: -H 'D;' -HE -uann:b -- -u": {
			URLs: []string{"h/x", "-u"}, Method: "POST", User: "ann:b",
			Headers: []Header{{Name: "A", Value: "b"}, {Name: "C", Removed: true}, {Name: "D"}},
			Data:    []Datum{{File: "a.json", Option: "-d"}, {Text: "x=1", Option: "-d"}},
			Others: []Option{{"silent", "", "-s"}, {"show-error", "", "-S"},
				{"location", "", "-L"}},
		},
		"curl --url h --json '{}' -A me -e you -b a=b --no-keepalive --oauth2-bearer t": {
			URLs: []string{"h"}, Method: "POST", JSON: true, Bearer: "t",
			Data: []Datum{{Text: "{}", Option: "--json"}},
			Headers: []Header{{Name: "User-Agent", Value: "me"}, {Name: "Referer", Value: "you"},
				{Name: "Cookie", Value: "a=b"}},
			Others: []Option{{"no-keepalive", "", "--no-keepalive"}},
		},
		"A=1 B='x y' curl -T a h && echo | wc": {
			URLs: []string{"h"}, Method: "PUT", Upload: "a", Assignments: []string{"A=1", "B=x y"},
			Next: []string{"echo", "wc"},
		},
		"export A=$X\nA=2\n$ sudo curl -T - h <a >b": {
			URLs: []string{"h"}, Method: "PUT", Upload: "a",
			Assignments: []string{"A=" + Mark + "$X" + Mark, "A=2"}, Outputs: []string{">b"},
		},
		"cat a | curl --data-binary @- h": {URLs: []string{"h"}, Method: "POST",
			Data: []Datum{{File: "a", Raw: true, Option: "--data-binary"}}},
		"x a | y | curl -d @- h": {URLs: []string{"h"}, Method: "POST",
			Data: []Datum{{Text: Mark + "$(x a | y)" + Mark, Option: "-d"}}},
		"curl h -d @- <<'E'\n$a\nb\nE": {URLs: []string{"h"}, Method: "POST",
			Data: []Datum{{Text: "$ab", Option: "-d"}}},
		"curl h?a=1 -G -d b=2 --data-urlencode 'c=d e&' --url-query x=y": {
			URLs: []string{"h?a=1&x=y&b=2&c=d%20e%26"}, Method: "GET"},
		"curl -g --data-raw @a --data-urlencode n@f --data-urlencode =x -X PATCH h": {
			URLs: []string{"h"}, Method: "PATCH", Data: []Datum{{Text: "@a", Option: "--data-raw"},
				{File: "f", Name: "n", Encoded: true, Raw: true, Option: "--data-urlencode"},
				{Text: "x", Option: "--data-urlencode"}}},
		`curl h -F a=@b.jpg\;type=image/jpeg\;filename=\"x\;y\" -F 'c=d;type=text/plain; charset=utf-8' ` +
			`-F 'e=<f' --form-string 'g=@h;i' -F 'j="k;\"l";x=y' -F m=@n\;encoder=base64`: {
			URLs: []string{"h"}, Method: "POST", Form: []Part{
				{Name: "a", Kind: '@', Value: "b.jpg", Type: "image/jpeg", Filename: "x;y",
					HasFilename: true},
				{Name: "c", Value: "d", Type: "text/plain; charset=utf-8"},
				{Name: "e", Kind: '<', Value: "f"},
				{Name: "g", Value: "@h;i"},
				{Name: "j", Value: `k;"l`, Dropped: ";x=y"},
				{Name: "m", Kind: '@', Value: "n", Dropped: ";encoder=base64"},
			}},
	} {
		got, err := Parse(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		opts := []cmp.Option{cmpopts.IgnoreFields(Command{}, "Globs"), cmpopts.EquateEmpty()}
		if diff := cmp.Diff(&want, got, opts...); diff != "" {
			t.Errorf("%s (-want +got)\n%s", text, diff)
		}
	}
}

func TestParseErrors(t *testing.T) {
	for text, want := range map[string]string{
		"":                         "want a curl command",
		"wget http://h":            "want a curl command",
		"curl -d x":                "no URL",
		"curl h -d":                "-d needs a value",
		"curl h --data":            "--data needs a value",
		"curl h --datas x":         `curl has no option "--datas"`,
		"curl h -sÿ":               "curl has no option",
		"curl h --data=sesame":     "without an equals sign",
		"curl h --sesame=$X":       `no option "--sesame"`,
		"curl a; curl b":           "several curl commands",
		"curl h?a=1&b=2 -d x":      "quote the URL",
		"curl a --next b":          "--next",
		"curl -K x":                "-K reads options from a file",
		"curl h -d a -F b=c":       "only one kind",
		"curl h -T a -T b":         "several -T",
		"curl h -T -":              "-T - sends standard input",
		"curl h -d @-":             "-d @- sends standard input",
		"curl h -d @":              "names no file",
		"curl h -F a=@-":           "-F a=@- sends standard input",
		"curl h -F sesame":         "want NAME=VALUE",
		"curl h -F a=@":            `-F "a=…" has no file name`,
		"curl h -F a=@b,c":         "several files in one part",
		"curl h -F '=(;type=x/y'":  "nests parts",
		"curl h -G -d @a":          "into the URL",
		"curl h -H @a":             "reads headers from a file",
		"curl h -H \"$AUTH\" -d x": "as a whole a variable",
	} {
		if _, err := Parse(text); err == nil || !strings.Contains(err.Error(), want) ||
			strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
	if _, err := ParseWords([]string{"-F", "x"}); err == nil {
		t.Error("no error without a program")
	}
}

// curl knows all options, and these are all that it knows.
func TestOptionsOfCurl(t *testing.T) {
	out, err := exec.Command("curl", "--help", "all").Output()
	if err != nil {
		t.Skip("no curl:", err)
	}
	line := regexp.MustCompile(`(?m)^ (?:-(.), |    )--([a-z0-9.-]+)( [<\[])?`)
	all := line.FindAllStringSubmatch(string(out), -1)
	if len(all) < 200 {
		t.Fatalf("%d options", len(all))
	}
	for _, m := range all {
		name := strings.TrimPrefix(m[2], "no-")
		switch {
		case m[3] != "" && !slices.Contains(valued, m[2]):
			t.Errorf("--%s takes a value", m[2])
		case m[3] == "" && !slices.Contains(switches, name):
			t.Errorf("--%s takes no value", m[2])
		case m[1] != "" && letters[m[1][0]] != m[2]:
			t.Errorf("-%s is --%s", m[1], m[2])
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, text := range []string{
		`curl -sSL -XPOST 'https://h/{a}/[1-3]?x=$Y' -H "A: $B" -F 'f=@a.jpg;type=x/y;filename="b"'`,
		"A=1 curl -d @- <<E | jq .\n$a\nE",
		"curl ^\n -d ^\"{^\\^\"a^\\^\": 1}^\" h", "curl $'\\x41' h -T ~/a",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c, err := Parse(text)
		if err != nil {
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("%q", err)
			}
			return
		}
		if len(c.URLs) == 0 || c.Method == "" && !strings.Contains(text, "-") {
			t.Errorf("%+v", c)
		}
		for _, u := range c.URLs {
			if strings.Count(u, Mark)%2 != 0 {
				t.Errorf("%q", u)
			}
		}
	})
}
