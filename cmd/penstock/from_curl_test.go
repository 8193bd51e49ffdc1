package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
)

// exampleHost is a server in an example.
var exampleHost = regexp.MustCompile(
	`https?://(?:[a-z0-9-]+\.)*example\.(?:com|org|net)(?::\d+)?`)

// What from-curl prints for the examples of APIs' documentation does, run as it is, what curl does:
// a server gets the same request. Headers that are a program's own may differ, and the type of a
// file where curl sends none of its own.
func TestFromCurlDoesAsCurl(t *testing.T) {
	if _, err := exec.LookPath("curl"); err != nil {
		if os.Getenv("PENSTOCK_REQUIRE_SERVERS") != "" {
			t.Fatal(err)
		}
		t.Skip("no curl")
	}
	if _, err := exec.LookPath("sh"); err != nil {
		t.Skip("no POSIX shell")
	}
	names, err := filepath.Glob("../../internal/bulk/testdata/examples/*.txtar")
	if err != nil || len(names) < 30 {
		t.Fatalf("%d examples: %v", len(names), err)
	}
	for _, name := range names {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			t.Parallel()
			archive, err := txtar.ParseFile(name)
			if err != nil {
				t.Fatal(err)
			}
			compareWithCurl(t, archive)
		})
	}
}

func compareWithCurl(t *testing.T, archive *txtar.Archive) {
	server := newEcho()
	defer server.Close()
	dir := t.TempDir()
	text, byCurl, placeholders, differs := "", "", "", false
	for _, f := range archive.Files {
		switch f.Name {
		case "curl":
			text = exampleHost.ReplaceAllString(string(f.Data), server.URL)
		case "posix": // what to run in place of a command for another shell
			byCurl = exampleHost.ReplaceAllString(string(f.Data), server.URL)
		case "placeholder":
			placeholders = string(f.Data)
		case "differs": // and the script says so
			differs = true
		case "script":
		default:
			path := filepath.Join(dir, filepath.FromSlash(f.Name))
			if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, f.Data, 0o666); err != nil {
				t.Fatal(err)
			}
		}
	}
	if byCurl == "" {
		byCurl = text
	}
	// What stands for a file's content in an example is that for curl.
	for line := range strings.Lines(placeholders) {
		words := strings.Fields(line)
		content, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(words[1])))
		if err != nil {
			t.Fatal(err)
		}
		byCurl = strings.ReplaceAll(byCurl, words[0], base64.StdEncoding.EncodeToString(content))
	}

	shell := func(script string) (string, error) {
		cmd := exec.Command("sh", "-c", strings.TrimPrefix(script, "$ "))
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "TOKEN=tok-en.1", "no_proxy=*", "GORACE="+gorace,
			stateVar+"="+filepath.Join(dir, ".state"))
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	said, _ := shell(byCurl) // a jq behind it may be missing
	want := server.only(t, "curl", said)

	script, err := fromCurl(strings.NewReader(text), []string{"-"})
	if err != nil {
		t.Fatal(err)
	}
	said, err = shell(script)
	if err != nil {
		t.Errorf("%v\n%s\n%s", err, script, said)
	}
	got := server.only(t, "penstock", said)
	switch diff := cmp.Diff(want.shown(t, got), got.shown(t, want)); {
	case differs && diff == "":
		t.Error("it does not differ")
	case !differs && diff != "":
		t.Errorf("differs (-curl +penstock):\n%s\n%s\n%s", diff, script, said)
	}
}

// An echo is a server that keeps what it gets.
type echo struct {
	*httptest.Server

	mu  sync.Mutex
	got []*echoed
}

// An echoed is a request.
type echoed struct {
	*http.Request
	body []byte
}

func newEcho() *echo {
	e := &echo{}
	e.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		e.mu.Lock()
		defer e.mu.Unlock()
		e.got = append(e.got, &echoed{r, body})
		fmt.Fprintln(w, `{"id": 1}`)
	}))
	return e
}

// only takes the one request that a program has sent.
func (e *echo) only(t *testing.T, program, said string) *echoed {
	t.Helper()
	e.mu.Lock()
	defer e.mu.Unlock()
	got := e.got
	e.got = nil
	if len(got) != 1 {
		t.Fatalf("%s sends %d requests:\n%s", program, len(got), said)
	}
	return got[0]
}

// itsOwn are headers that are of a program, or that are compared otherwise.
var itsOwn = []string{"Accept", "Accept-Encoding", "Connection", "Content-Length", "Content-Type",
	"Expect", "User-Agent"}

// shown is what matters of a request, beside that of the other program.
func (s *echoed) shown(t *testing.T, other *echoed) string {
	t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s\n", s.Method, s.URL.Path)
	query, err := url.ParseQuery(s.URL.RawQuery)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(&b, "?%q\n", query)
	var lines []string
	for name, values := range s.Header {
		if name == "Idempotency-Key" {
			values = []string{"one"}
		}
		if !slices.Contains(itsOwn, name) {
			lines = append(lines, fmt.Sprintf("%s: %q", name, values))
		}
	}
	slices.Sort(lines)
	b.WriteString(strings.Join(lines, "\n") + "\n")
	kind, params, _ := mime.ParseMediaType(s.Header.Get("Content-Type"))
	if s.Header.Get("Content-Type") != "" && other.Header.Get("Content-Type") != "" {
		fmt.Fprintf(&b, "of type %s %s\n", kind, params["charset"])
	}
	switch {
	case kind == "multipart/form-data":
		s.showForm(t, &b, params["boundary"], other)
	case kind == "application/json":
		var v any
		if err := json.Unmarshal(s.body, &v); err != nil {
			t.Fatalf("%v in %s", err, s.body)
		}
		text, _ := json.MarshalIndent(v, "", " ")
		b.Write(text)
	case kind == "application/x-www-form-urlencoded" && bytes.Contains(s.body, []byte("=")):
		v, err := url.ParseQuery(string(s.body))
		if err != nil {
			t.Fatalf("%v in %s", err, s.body)
		}
		fmt.Fprintf(&b, "%q", v)
	default:
		fmt.Fprintf(&b, "%q", s.body)
	}
	return b.String()
}

// showForm writes the parts of a form. The type that curl gives a file of an unknown kind is any.
func (s *echoed) showForm(t *testing.T, b *strings.Builder, boundary string, other *echoed) {
	t.Helper()
	const unknown = "application/octet-stream"
	read := func(s *echoed, boundary string) (types, parts []string) {
		if boundary == "" { // it is no form
			return nil, nil
		}
		for r := multipart.NewReader(bytes.NewReader(s.body), boundary); ; {
			p, err := r.NextPart()
			if err == io.EOF {
				return types, parts
			}
			if err != nil {
				t.Fatal(err)
			}
			content, err := io.ReadAll(p)
			if err != nil {
				t.Fatal(err)
			}
			kind, _, _ := mime.ParseMediaType(p.Header.Get("Content-Type"))
			types = append(types, kind)
			parts = append(parts, fmt.Sprintf("%q %q %q", p.FormName(), p.FileName(), content))
		}
	}
	types, parts := read(s, boundary)
	_, params, _ := mime.ParseMediaType(other.Header.Get("Content-Type"))
	others, _ := read(other, params["boundary"])
	for i, part := range parts {
		kind := types[i]
		if kind == unknown || i < len(others) && others[i] == unknown {
			kind = "any"
		}
		fmt.Fprintf(b, "%s of type %s\n", part, kind)
	}
}
