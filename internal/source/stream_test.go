package source

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/penstock/penstock/internal/lines"
)

// stream is a run's options with lines on standard input.
func stream(t testing.TB, in io.Reader) Options {
	return Options{Manifest: "-", Stdin: in, Template: to(t, "http://h/{key}"), Method: "POST"}
}

// Each line that is wrong fails alone, and what it says is kept as far as it goes.
func TestStreamBadLines(t *testing.T) {
	tree(t, "d/a", "b", "-")
	long := `{"path":"b","key":"` + strings.Repeat("k", lines.MaxLen) + `"}`
	o := stream(t, strings.NewReader("\ufeff"+`{"path":"d/a","key":"1"}`+"\r\n"+
		"\x00\n"+"\xff\n"+"[]\n"+long+"\n"+`{"path":"d/a\u0000","key":"2"}`+"\n"+
		`{"path":"d","key":"3"}`+"\n"+`{"path":"b","key":"1"}`+"\n"+
		`{"path":"b","key":"4","headers":{"Host":"h"}}`+"\n"+
		`{"path":"b","key":"5","v":1}`+"\n"+`{"path":"b","key":"6","v":"2"}`+"\n"+
		`{"path":"b"`))
	expectSent(t, o,
		"d/a POST /1",
		`line 2! no JSON, one object a line: invalid character '\x00' at start of value`,
		"line 3! not valid UTF-8",
		`line 4! no JSON object such as {"path":"a.csv"}`,
		"line 5! the line is longer than 1 MiB",
		"d/a\x00! contains a NUL byte",
		"d! is a directory; only files can be listed",
		"b! another item of this run has the same key",
		`b! "headers": "Host": the header Host cannot be set: it follows from the URL and the file`,
		"b POST /5",
		`b! "v" is the version of the line, and "2" is not known, only 1: leave it out, `+
			"and give a variable another name",
		"b! the input ends within the line: the program that writes it may have failed: "+
			"no JSON, one object a line: unexpected end of JSON input")
	s := mustNew(t, stream(t, strings.NewReader("\n\n{}\n")))
	for it := range s.Items() {
		if it.Line != 3 || it.Path != "line 3" {
			t.Errorf("%+v", it)
		}
	}
}

// A stream that cannot be read on ends the run.
func TestStreamBroken(t *testing.T) {
	tree(t, "a")
	in := io.MultiReader(strings.NewReader(`{"path":"a","key":"1"}`+"\n"+`{"pa`),
		iotest.ErrReader(errors.New("gone")))
	expectSent(t, stream(t, in), "a POST /1", `! source: "standard input" line 2: gone`)
}

// Scan leaves a stream to Items.
func TestStreamScan(t *testing.T) {
	tree(t, "a")
	s := mustNew(t, stream(t, strings.NewReader(`{"path":"a","key":"1"}`)))
	sum, err := s.Scan(t.Context())
	if err != nil || sum.Items != 0 || !sum.Partial || !sum.Stream ||
		sum.Reads != "standard input" {
		t.Errorf("%+v, %v", sum, err)
	}
	if got := items(t, s); len(got) != 1 {
		t.Errorf("%+v", got)
	}
}

// Of a stream without an end the last lines are remembered, and no more.
func TestRecent(t *testing.T) {
	var r recent
	for i := range uint64(5 * recentHashes) {
		back := max(i, recentHashes) - recentHashes
		if r.add(i) || i > 0 && !r.young.has(back) && !r.old.has(back) {
			t.Fatalf("%d is not known as it should be", i)
		}
		if n := len(r.young) + len(r.old); n > 2*recentHashes {
			t.Fatalf("%d are held", n)
		}
	}
	if !r.add(5*recentHashes-1) || !r.add(4*recentHashes) || r.add(0) {
		t.Error("the first is known, or a late one is not")
	}
}

// Whatever the lines are, each that is not blank is one item, with its number, and no other error.
func FuzzStream(f *testing.F) {
	tree(f, "a")
	f.Add([]byte("{\"path\":\"a\",\"key\":\"1\"}\r\n\n{\"path\":\"a\",\"key\":1}\nx"))
	f.Add([]byte("\xef\xbb\xbf" + `{"path":"a","v":1,"headers":{"a":"\n"}}` + "\n" +
		`{"key":"\ud800"}`))
	f.Add([]byte(`{"path":"\u0000","url":"http://u:p@h/{x}","method":""}` + "\n{}\n[]\n\x00"))
	f.Fuzz(func(t *testing.T, text []byte) {
		s := mustNew(t, stream(t, bytes.NewReader(text)))
		last := 0
		for it, err := range s.Items() {
			var failed *ItemError
			switch {
			case err != nil && !errors.As(err, &failed):
				t.Fatalf("%q: %v", text, err)
			case it.Line <= last || it.Path == "":
				t.Fatalf("%q: %+v after line %d", text, it, last)
			case err != nil && strings.ContainsAny(fmt.Sprint(err), "\r\n"):
				t.Fatalf("not one line: %q", err)
			}
			last = it.Line
		}
		n := 0
		for range lines.Each(bytes.NewReader(text), false) {
			n++
		}
		if last < n {
			t.Fatalf("%q: %d lines, the last item is of %d", text, n, last)
		}
	})
}

// What a line that is wrong says of its item can be read in its result.
func TestStreamNamesWrongLines(t *testing.T) {
	for text, want := range map[string]string{
		`{"headers":{"Host":"h"},"key":"k","path":"p"}`: "p k",
		`{"key":"k","path":"p","method":"("}`:           "p k",
		`{"key":"k","path":["p"]}`:                      "line 1 k",
		`{"key":7,"path":"p`:                            "line 1 7",
		`{"key":"k`:                                     "line 1 ",
	} {
		for it, err := range mustNew(t, stream(t, strings.NewReader(text))).Items() {
			if got := it.Path + " " + it.Key; got != want || err == nil {
				t.Errorf("%s: %s, want %s; %v", text, got, want, err)
			}
		}
	}
}
