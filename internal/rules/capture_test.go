package rules

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/penstock/penstock/internal/test"
)

func capturesOf(t testing.TB, texts ...string) *Captures {
	t.Helper()
	var c Captures
	for _, text := range texts {
		test.OK(t, c.Add(text))
	}
	return &c
}

func TestCaptures(t *testing.T) {
	header := http.Header{"Location": {"/v1/items/7?x=1&y=2", "/other"}, "Etag": {"W/\"a\""},
		"X-Latin": {"caf\xe9"}}
	long := strings.Repeat("x", maxCaptured)
	for _, c := range []struct {
		captures []string
		body     string
		unread   error
		want     string
		missing  string
	}{
		{[]string{"id=.id", "where=header:location"}, `{"id":17}`, nil,
			`{"id":17,"where":"/v1/items/7?x=1&y=2"}`, ""},
		{[]string{"id=.id"}, `{"id":12345678901234567890123}`, nil,
			`{"id":12345678901234567890123}`, ""},
		{[]string{"id=.id"}, `{"id":"<a&b>\u2028"}`, nil, "{\"id\":\"<a&b>\u2028\"}", ""},
		{[]string{"no=.ok", "e=.e", "o=.o", "n=.n"},
			`{"ok":false,"e":"","o":{"a":[1,null]},"n":1.5}`, nil,
			`{"no":false,"e":"","o":{"a":[1,null]},"n":1.5}`, ""},
		{[]string{"s=$status", "tag=$header.etag", "t=$text"}, "plain", nil,
			`{"s":201,"tag":"W/\"a\"","t":"plain"}`, ""},
		{[]string{"first=.items[].id"}, `{"items":[{"id":1},{"id":2}]}`, nil, `{"first":1}`, ""},
		{[]string{"l=header:X-Latin"}, "", nil, `{"l":"caf\ufffd"}`, ""},
		{[]string{"id=.id", "tag=header:ETag"}, `{"ID":1}`, nil, `{"tag":"W/\"a\""}`,
			"id is not in the answer"},
		{[]string{"id=.id"}, `{"id":null}`, nil, `{}`, "id is not in the answer"},
		{[]string{"id=.id.of"}, `{"id":"secret"}`, nil, `{}`, "id is not in the answer"},
		{[]string{"id=.id"}, "OK", nil, `{}`, "id is not there: the answer is no JSON"},
		{[]string{"id=.id"}, "", nil, `{}`, "id is not there: the answer is no JSON"},
		{[]string{"x=header:X-None"}, "", nil, `{}`, "x is not in the answer"},
		{[]string{"id=.id", "s=$status", "tag=header:etag"}, `{"id`, errors.New("unexpected EOF"),
			`{"s":201,"tag":"W/\"a\""}`, "id is not there: unexpected EOF"},
		{[]string{"a=.a", "b=.b"}, `{"a":"` + long + `","b":"` + long[2:] + `"}`, nil,
			`{"b":"` + long[2:] + `"}`, "a is longer than 4 KiB"},
		{[]string{"a=.", "b=.", "c=.", "d=.", "e=1"}, `"` + long[2:] + `"`, nil,
			`{"a":"` + long[2:] + `","b":"` + long[2:] + `","c":"` + long[2:] + `","e":1}`,
			"d was left out: all together are longer than 16 KiB"},
		{[]string{"id=[..|..|..|..|..|..]|length"}, strings.Repeat("[", 900) +
			strings.Repeat("]", 900), nil, "{}",
			"id was not found: it takes more than 100ms or 1000000 steps"},
	} {
		a := &Answer{Status: 201, Header: header, Body: []byte(c.body)}
		got, missing := capturesOf(t, c.captures...).of(a, c.unread)
		var told []string
		for _, m := range missing {
			told = append(told, m.Name+" "+m.Why)
		}
		if got != c.want || strings.Join(told, ", ") != c.missing {
			t.Errorf("%s of %.80s: %s, missing: %s\nwant %s, missing: %s", c.captures, c.body,
				got, told, c.want, c.missing)
		}
	}
}

func TestBadCaptures(t *testing.T) {
	for text, want := range map[string]string{
		"id":            `want NAME=JQ or NAME=header:FIELD, such as id=.id or where=header:Location`,
		"=.id":          `the name "": want letters, digits, - . and _, with a letter or _ first`,
		"1a=.id":        `the name "1a": want letters, digits, - . and _, with a letter or _ first`,
		"a b=.id":       `the name "a b": want letters, digits, - . and _, with a letter or _ first`,
		"id=":           `it is empty`,
		"id=.[":         `it is not jq: `,
		"id=header:":    `"" is no name of a header field`,
		"id=header:a b": `"a b" is no name of a header field`,
		"same=.id":      "the name same is given twice",
	} {
		c := capturesOf(t, "same=.a")
		if err := c.Add(text); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
		if len(c.list) != 1 {
			t.Errorf("%s was added", text)
		}
	}
}

// Whatever an answer is, what is kept of it is a JSON object within the bounds.
func FuzzCaptures(f *testing.F) {
	f.Add("id=.id", `{"id":1}`, "x")
	f.Add("a.b=$text", "\xff\x00", "\xe9")
	f.Add("a=[.,.]|tojson", `{"a":"\ud800"}`, "")
	f.Fuzz(func(t *testing.T, text, body, field string) {
		var c Captures
		if c.Add(text) != nil {
			return
		}
		test.OK(t, errors.Join(c.Add("field=header:Field"), c.Add("all=.")))
		a := &Answer{Status: 200, Header: http.Header{"Field": {field}}, Body: []byte(body)}
		object, missing := c.of(a, nil)
		var back map[string]any
		if err := json.Unmarshal([]byte(object), &back); err != nil {
			t.Fatalf("%s: %v", object, err)
		}
		if len(back)+len(missing) != 3 || len(object) > maxReceipt {
			t.Error(fmt.Sprint(len(back), missing, len(object)))
		}
	})
}

// What was read for a rule is not read, or decoded, once more.
func TestCaptureAfterRule(t *testing.T) {
	var s Set
	test.OK(t, s.Add(Accept, "200:.ok"))
	resp := &http.Response{StatusCode: 200, ContentLength: -1,
		Body: io.NopCloser(strings.NewReader(`{"ok":true,"id":7}`))}
	v := s.Judge(resp)
	resp.Body = io.NopCloser(iotest.ErrReader(errors.New("read again")))
	c := capturesOf(t, "id=.id")
	if got, missing := c.Of(resp, v); got != `{"id":7}` || missing != nil || v.Effect != Accept {
		t.Errorf("%s, %v", got, missing)
	}
	if _, missing := c.Of(resp, v.WithoutBody()); len(missing) != 1 {
		t.Error("the body was kept")
	}
}
