package source

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/penstock/penstock/internal/item"
)

// What Scan remembers is what another look would find.
func TestFound(t *testing.T) {
	names := []string{"d/é/ü", "d/sub/a.csv", "d/sub/ab.csv", "d/sub/ab/c",
		"d/" + strings.Repeat("x", 200), "e/1", "e/" + strings.Repeat("x", 199)}
	for i := range 1500 {
		names = append(names, fmt.Sprintf("m/%02d/%04d%s", i%30, i*7919%10000,
			strings.Repeat(string(rune(97+i%7)), 40)))
	}
	tree(t, names...)
	times := []time.Time{time.Unix(-1, 5), time.Unix(0, 0),
		time.Date(2200, 1, 1, 0, 0, 0, 7, time.UTC), time.Now().Add(-time.Hour)}
	for i, name := range names {
		if at := times[i%len(times)]; os.Chtimes(name, at, at) != nil {
			t.Skip("this file system has no such times")
		}
	}
	s := mustNew(t, Options{Paths: []string{"d", "./e/../e", "d/sub/a.csv", "m"},
		Template: to(t, "https://u:p@h/{path}?n={stem}"), Method: "POST"})
	want := items(t, s)
	if _, err := s.Scan(t.Context()); err != nil {
		t.Fatal(err)
	}
	f := s.found.Load()
	if f == nil || len(f.pages) < 2 || len(want) != len(names)+1 {
		t.Fatalf("%d items, remembered: %v", len(want), f != nil)
	}
	for range 2 {
		if diff := cmp.Diff(want, items(t, s)); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
	}
	for it := range s.Items() {
		if it.Path != want[0].Path {
			t.Error(it.Path)
		}
		break
	}
}

func TestFoundGivesUp(t *testing.T) {
	good := item.Item{Path: filepath.FromSlash("d/a"), Rel: "a",
		Fingerprint: item.Fingerprint{ModTime: time.Unix(1, 0)}}
	for name, bad := range map[string]item.Item{
		"a time out of reach": {Path: "a", Rel: "a",
			Fingerprint: item.Fingerprint{ModTime: time.Date(3000, 1, 1, 0, 0, 0, 0,
				time.UTC)}},
		"another Rel": {Path: "a/", Rel: "a",
			Fingerprint: item.Fingerprint{ModTime: time.Unix(1, 0)}},
	} {
		f := new(found)
		f.add(good)
		if f.over || len(f.pages) == 0 {
			t.Error("gave up on what is fine")
		}
		f.add(bad)
		f.add(good)
		if !f.over || f.pages != nil {
			t.Errorf("%s: is remembered", name)
		}
	}
	f := &found{pages: make([][]byte, maxFound/pageSize)}
	if f.add(good); !f.over {
		t.Error("there is no end of it")
	}
}
