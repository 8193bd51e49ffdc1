package compose

import (
	"strings"
	"testing"
)

func TestReadField(t *testing.T) {
	for in, want := range map[string]spec{
		"file":                     {name: "file", kind: itemField},
		"a=1":                      {name: "a", value: "1"},
		"a=":                       {name: "a"},
		"a==":                      {name: "a", value: "="},
		"a=  b c  ":                {name: "a", value: "b c"},
		`a=" b c "`:                {name: "a", value: " b c "},
		`a="b;c"`:                  {name: "a", value: "b;c"},
		`a="\"\\\x"`:               {name: "a", value: `"\\x`},
		`a="b`:                     {name: "a", value: `"b`},
		`a="b\"`:                   {name: "a", value: `"b\"`},
		"a=b,c":                    {name: "a", value: "b,c"},
		"a=b;":                     {name: "a", value: "b"},
		"a=b;type=text/plain":      {name: "a", value: "b", typ: "text/plain", hasType: true},
		"a=b; type= text/x; a=b ;": {name: "a", value: "b", typ: "text/x; a=b ;", hasType: true},
		`a={"b":1};type=application/json`: {name: "a", value: `{"b":1}`, typ: "application/json",
			hasType: true},
		"a=@f":              {name: "a", kind: fileField, value: "f"},
		"a=@ f ; type=b/c ": {name: "a", kind: fileField, value: "f", typ: "b/c", hasType: true},
		`a=@"f,g;h";filename="i;j" ; type=b/{c};x=y`: {name: "a", kind: fileField, value: "f,g;h",
			filename: "i;j", hasFilename: true, typ: "b/{c};x=y", hasType: true},
		"a=@f;type=b/c;d=e;filename=g": {name: "a", kind: fileField, value: "f", typ: "b/c;d=e",
			hasType: true, filename: "g", hasFilename: true},
		"a=@f;filename=": {name: "a", kind: fileField, value: "f", hasFilename: true},
		"a=<f,g":         {name: "a", kind: textField, value: "f,g"},
		"a={b}":          {name: "a", value: "{b}"},
	} {
		if got, err := readField(in); got != want || err != nil {
			t.Errorf("%s: %+v, %v, want %+v", in, got, err, want)
		}
	}
	for in, want := range map[string]string{
		"":                    "needs a name",
		"=a":                  "needs a name",
		"a=(b":                "a form within a form",
		"a=@":                 "no file is named",
		"a=@;type=b/c":        "no file is named",
		"a=<":                 "no file is named",
		"a=@-":                "standard input",
		"a=<-":                "standard input",
		"a=@f,g":              "several files in one field",
		"a=b;c":               "stands before neither type= nor filename=: a value that has one stands in quotes",
		"a=b;type=c":          `the type "c" is none`,
		"a=b;type=/c":         `the type "/c" is none`,
		"a=@f;headers=X: y":   ";headers= is not supported",
		"a=@f;encoder=base64": ";encoder= is not supported",
		`a="b"c`:              "behind the closing quote",
		`a=@f;filename="b"c`:  "behind the closing quote",
	} {
		if got, err := readField(in); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %+v, %v, want %q", in, got, err, want)
		}
	}
}

func TestReadString(t *testing.T) {
	want := spec{name: "a", value: `@"b;type=c`}
	if got, err := readString(`a=@"b;type=c`); got != want || err != nil {
		t.Errorf("%+v, %v", got, err)
	}
	for _, in := range []string{"", "a", "=a"} {
		if _, err := readString(in); err == nil {
			t.Errorf("%q is accepted", in)
		}
	}
}

func FuzzReadField(f *testing.F) {
	for _, in := range []string{"a", `a=@"b";type=c/d;filename="e\"f"`, "a=<b;", `a="b\`} {
		f.Add(in)
	}
	f.Fuzz(func(t *testing.T, in string) {
		got, err := readField(in)
		if err != nil {
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("the error has two lines: %q", err)
			}
			return
		}
		if !strings.HasPrefix(in, got.name) || got.name == "" {
			t.Errorf("%q: %+v", in, got)
		}
		if err := new(Template).AddField(in); err == nil {
			return
		}
	})
}
