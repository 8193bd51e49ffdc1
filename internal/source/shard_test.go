package source

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/internal/test"
)

// divided returns what each of so many shards sends of o, after Scan.
func divided(t *testing.T, of int, o func() Options) (shards [][]string) {
	t.Helper()
	var before []int64
	for i := range of {
		opts := o()
		opts.Shard = item.Shard{Number: i + 1, Of: of}
		s := mustNew(t, opts)
		found, err := s.Scan(t.Context())
		test.OK(t, err)
		var got []string
		for it, err := range s.Items() {
			text := filepath.ToSlash(it.Path)
			if err != nil {
				text += "! " + err.Error()
			}
			got = append(got, text)
		}
		shards = append(shards, got)
		own, all := s.Divided(found)
		if own != int64(len(got)) {
			t.Errorf("shard %d has %d, %d are counted", i+1, len(got), own)
		}
		if i > 0 && (all != before[0] || !slices.Equal(found.Shards, before[1:])) {
			t.Errorf("of %d %v, and shard 1 has counted %v", all, found.Shards, before)
		}
		before = append([]int64{all}, found.Shards...)
	}
	return shards
}

// [shards] Whatever there is, and whatever is wrong with it, is in one shard.
func TestShardsAreAll(t *testing.T) {
	names := []string{"d/gone -> nowhere"}
	var list, lines strings.Builder
	for i := range 40 {
		names = append(names, fmt.Sprintf("d/%d", i), fmt.Sprintf("d/in/%d", i))
		fmt.Fprintf(&list, "d/%d\nmissing%d\n", i, i)
		fmt.Fprintf(&lines, `{"path":"d/%d"}`+"\n"+`{"path":"d/in/%[1]d","key":"k%[1]d"}`+"\n"+
			`{"path":"missing%[1]d"}`+"\n"+
			`{"path":"d/%[1]d","url":"http://h/other/%[1]d"}`+"\n", i)
	}
	bad := "{\n[]\n{\"path\":\"d/1\",\"v\":7}\n{\"key\":\"x\"}\n{}\n{\"path\":\"" +
		strings.Repeat("x", 2<<20) + "\"}\n"
	tree(t, append(names, "m.ndjson")...)
	test.OK(t, os.WriteFile("m.ndjson", []byte(lines.String()), 0o600))
	for name, o := range map[string]func() Options{
		"directory": func() Options {
			return Options{Paths: []string{"d"}, Follow: true, Template: to(t, "http://h/{path}")}
		},
		"files": func() Options {
			return Options{Paths: []string{"d/1", "d/2", "m", "d/in", "d/g*"}, Follow: true,
				Template: to(t, "http://h/{name}"), Method: "POST"}
		},
		"list": func() Options {
			return Options{Paths: []string{"-"}, Stdin: strings.NewReader(list.String()),
				Template: to(t, "http://h/{name}")}
		},
		"manifest": func() Options {
			return Options{Manifest: "m.ndjson", Template: to(t, "http://h/{path}")}
		},
		"stream": func() Options {
			return Options{Manifest: "-", Stdin: strings.NewReader(lines.String() + bad),
				Template: to(t, "http://h/{path}")}
		},
	} {
		t.Run(name, func(t *testing.T) {
			var whole []string
			s := mustNew(t, o())
			for it, err := range s.Items() {
				text := filepath.ToSlash(it.Path)
				if err != nil {
					text += "! " + err.Error()
				}
				whole = append(whole, text)
			}
			slices.Sort(whole)
			for of := range 4 {
				got := slices.Concat(divided(t, of+1, o)...)
				slices.Sort(got)
				if diff := cmp.Diff(whole, got); diff != "" {
					t.Errorf("of %d (-want +got):\n%s", of+1, diff)
				}
			}
		})
	}
}

// [shards] A file's shard does not depend on where the directory is, on the server, or on what is
// there besides.
func TestShardsAreTheSame(t *testing.T) {
	var names []string
	for i := range 30 {
		names = append(names, fmt.Sprintf("d/%d", i), fmt.Sprintf("d/in/%d", i))
	}
	tree(t, names...)
	abs, err := filepath.Abs("d")
	test.OK(t, err)
	rels := func(root, url string, exclude ...string) (all []string) {
		for _, shard := range divided(t, 3, func() Options {
			return Options{Paths: []string{root}, Exclude: exclude, Template: to(t, url)}
		}) {
			for i, path := range shard {
				if i := strings.LastIndex(path, "d/"); i >= 0 {
					path = path[i+2:]
				}
				shard[i] = path
			}
			all = append(all, strings.Join(shard, " "))
		}
		return all
	}
	want := rels("d", "http://h/{path}")
	for _, got := range [][]string{
		rels(abs, "http://h/{path}"), rels("./d/../d/", "https://other/x?n={name}&p={dir}"),
		rels("d/**", "http://h/{size}/{path}"),
		rels(filepath.Join(abs, "**"), "http://user:pw@h/{path}"),
	} {
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
	}
	t.Chdir("d")
	if diff := cmp.Diff(want, rels(".", "http://h/{path}")); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// [shards] Credentials and fields that are not sent do not decide, nor how a path is written.
func TestShardOfLine(t *testing.T) {
	tree(t, "a", "b")
	lines := func(lines ...string) func() Options {
		return func() Options {
			return Options{Manifest: "-", Stdin: strings.NewReader(strings.Join(lines, "\n")),
				Template: to(t, "http://h/{sku}/{token}/{path}"), Method: "POST"}
		}
	}
	same := func(a, b string) bool {
		t.Helper()
		return cmp.Equal(divided(t, 1000, lines(a)), divided(t, 1000, lines(b)))
	}
	const line = `{"path":"a","sku":"1","token":"t","at":1}`
	for _, other := range []string{
		`{"path":"./a","sku":"1","token":"other","at":2}`,
		`{"at":3,"token":"t","sku":"1","path":"a","method":"PATCH"}`,
	} {
		if !same(line, other) {
			t.Errorf("%s is in another shard than %s", other, line)
		}
	}
	if same(line, `{"path":"a","sku":"2","token":"t"}`) {
		t.Error("a field that is sent does not count")
	}
	signed := `{"path":"a","url":"http://h/a?x=1&X-Amz-Algorithm=A&X-Amz-Credential=C&` +
		`X-Amz-Date=D&X-Amz-Signature=%s"}`
	if !same(fmt.Sprintf(signed, "1"), fmt.Sprintf(signed, "2")) {
		t.Error("a signature counts")
	}
	if same(`{"path":"a","url":"http://h/1"}`, `{"path":"a","url":"http://h/2"}`) {
		t.Error("a URL of a line's own does not count")
	}
}

// What would overwrite the item of another shard is found on each machine.
func TestShardsCollide(t *testing.T) {
	tree(t, "a/x/1", "b/y/1", "b/y/2", "m.ndjson")
	test.OK(t, os.WriteFile("m.ndjson", []byte(`{"path":"a/x/1","url":"http://h/1"}`+"\n"+
		`{"path":"b/y/1","url":"http://h/1"}`+"\n"+`{"path":"b/y/2","key":"k"}`+"\n"), 0o600))
	for i := range 4 {
		shard := item.Shard{Number: i + 1, Of: 4}
		for _, o := range []Options{
			{Paths: []string{"a", "b"}, Template: to(t, "http://h/{name}"), Shard: shard},
			{Manifest: "m.ndjson", Template: to(t, "http://h/{name}"), Shard: shard},
		} {
			_, err := mustNew(t, o).Scan(t.Context())
			expectError(t, err, "would both PUT to http://h/1")
		}
	}
}

// Results select among all items; those of other shards are matched, too.
func TestShardsFromResults(t *testing.T) {
	tree(t, "d/1", "d/2", "d/3", "d/4", "r.ndjson")
	test.OK(t, os.WriteFile("r.ndjson", []byte(
		`{"type":"item","path":"d/1","status":"failed"}`+"\n"+
			`{"type":"item","path":"d/2","status":"failed"}`+"\n"+
			`{"type":"item","path":"d/3","status":"delivered"}`+"\n"), 0o600))
	var got []string
	for i := range 3 {
		s := mustNew(t, Options{Paths: []string{"d"}, From: "r.ndjson",
			Only: item.FatesOf(item.Failed), Template: to(t, "http://h/{name}"),
			Shard: item.Shard{Number: i + 1, Of: 3}})
		found, err := s.Scan(t.Context())
		test.OK(t, err)
		if _, all := s.Divided(found); found.Unmatched != 0 || all != 2 {
			t.Errorf("%d unmatched, of %d", found.Unmatched, all)
		}
		for _, it := range items(t, s) {
			got = append(got, filepath.ToSlash(it.Path))
		}
	}
	if slices.Sort(got); !slices.Equal(got, []string{"d/1", "d/2"}) {
		t.Error(got)
	}
}
