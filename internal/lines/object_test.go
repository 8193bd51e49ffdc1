package lines

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

func TestStrings(t *testing.T) {
	for raw, want := range map[string]bool{
		`"a"`: true, `"\ufffd"`: true, `"\ufffd\\ud800"`: true, `"\\ud800"`: true,
		`"\ud83d\uDE00"`:          true,
		`"\ud83d\ude00x\n\u0041"`: true,
		`"\ud800"`:                false, `"\uDC00"`: false, `"\\\ud800"`: false,
		`"\ud83d\ude00\ude00"`: false,
		`"\ude00\ud83d"`:       false, `"\ud83d\ud83d\ude00"`: false,
		`"\ud800\n"`: false, `"\ud800udc00"`: false, `"\u0000\ud800 "`: false,
	} {
		n := 0
		err := Object([]byte(`{"a":`+raw+`}`),
			func([]byte, jsontext.Value) error { n++; return nil })
		if (err == nil) != want || n == 1 != want {
			t.Errorf("%s: %v, %d fields", raw, err, n)
		}
	}
}

func TestObjectErrors(t *testing.T) {
	for text, want := range map[string]string{
		``:       "no JSON, one object a line: unexpected end of JSON input",
		`{"a":1`: "no JSON, one object a line: unexpected end of JSON input",
		`a.csv`:  "no JSON, one object a line: invalid character 'a'",
		`{"a":1} {"b":2}`: "no JSON, one object a line: " +
			"invalid character '{' after top-level value",
		`["a"]`:                   "no JSON object such as",
		`{"a\n":1,"a\u000a":2}`:   `"a\n" is given twice`,
		`{"x":{"y":{},"y":null}}`: `"x": "y" is given twice`,
		`{"a":"\ud800"}`:          `"a": has a \u escape that is no character`,
		`{"\ud800":1}`:            `a name: has a \u escape that is no character`,
		"{\"a\":\"\xff\"}":        "not valid UTF-8",
		"\xff\xfe{\x00":           "the file is UTF-16: save it as UTF-8",
	} {
		err := Object([]byte(text), func([]byte, jsontext.Value) error { return nil })
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

// The fields of an object are those that encoding/json finds, unless that takes one for another.
func FuzzObject(f *testing.F) {
	for _, s := range []string{
		`{}`, `{"a":1}`,
		` { "a" : "b" , "c\n\"" : [ 1, {"x":"]}"} ] , "d":null,"e":-1.5e-3,"f":true}` + "\r",
		`{"a":1,"a":2}`, `{"\u0061":"\ud800","a":"\\"}`, `[]`, `null`, `{"a"`, `{"":{}}`, "\xff",
		`{"a":{"b":{"c":[[],{}]}},"z":"\\\""}`, "{\n\"a\"\n:\n1\n}",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var want map[string]json.RawMessage
		wantErr := json.Unmarshal(text, &want)
		got := map[string]json.RawMessage{}
		err := Object(text, func(name []byte, value jsontext.Value) error {
			got[string(name)] = bytes.Clone(value)
			return nil
		})
		switch {
		case err != nil:
			if strings.ContainsAny(err.Error(), "\r\n") {
				t.Fatalf("not one line: %q", err)
			}
			strict := strings.HasSuffix(err.Error(), "is given twice") ||
				strings.HasSuffix(err.Error(), "no character")
			if wantErr == nil && want != nil && utf8.Valid(text) && !strict {
				t.Fatalf("%q: %v", text, err)
			}
			return
		case wantErr != nil:
			t.Fatalf("%q was accepted: %v", text, wantErr)
		case len(got) != len(want):
			t.Fatalf("%q has %q, want %q", text, got, want)
		}
		for name, value := range want {
			if !bytes.Equal(got[name], value) {
				t.Fatalf("%q: %q is %q, want %q", text, name, got[name], value)
			}
			var text string
			v, err := Scalar(jsontext.Value(value))
			if value[0] == '"' && (err != nil || json.Unmarshal(value, &text) != nil || v != text) {
				t.Fatalf("%q says %q, %v, want %q", value, v, err, text)
			}
		}
	})
}
