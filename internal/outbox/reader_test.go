package outbox

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/penstock/penstock/internal/test"
)

func mustOpenReader(t *testing.T, dir string) *Reader {
	t.Helper()
	r, err := OpenReader(dir)
	test.OK(t, err)
	t.Cleanup(func() { r.Close() })
	return r
}

func listed(t *testing.T, r *Reader, f Filter) (ids []string) {
	t.Helper()
	for e, err := range r.List(f) {
		test.OK(t, err)
		ids = append(ids, e.ID)
	}
	return ids
}

// A store can be read while it is in use, when that has ended, and when it was killed.
func TestReader(t *testing.T) {
	dir := newDir(t)
	s := mustOpen(t, Options{Dir: dir})
	small, large := mustPut(t, s, "a", "small"), mustPut(t, s, "b", strings.Repeat("x", 1<<20))
	check := func(when string, dir string) {
		r := mustOpenReader(t, dir)
		for _, want := range []Entry{small, large} {
			got, err := r.Get(want.ID)
			test.OK(t, err)
			wantEntry(t, when, got, want)
			if body := mustRead(t, r, want.ID); int64(len(body)) != want.Size {
				t.Errorf("%s: %d bytes", when, len(body))
			}
		}
		if got := listed(t, r, Filter{}); !slices.Equal(got, []string{small.ID, large.ID}) {
			t.Errorf("%s: %v", when, got)
		}
		test.OK(t, r.Close())
	}
	check("in use", dir)
	check("killed", crash(t, dir))
	test.OK(t, s.Close())
	check("closed", dir)
	names, err := filepath.Glob(filepath.Join(dir, file+"*"))
	if slices.Sort(names); len(names) != 2 || err != nil { // the file and its lock
		t.Errorf("there are %v, %v", names, err)
	}
}

func TestReaderOfNothing(t *testing.T) {
	dir := newDir(t)
	if _, err := OpenReader(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	test.OK(t, os.MkdirAll(dir, 0o700))
	test.OK(t, os.WriteFile(filepath.Join(dir, file), nil, 0o600))
	if _, err := OpenReader(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

// A list has what is selected, whatever pages it is read in, and may end at any time.
func TestList(t *testing.T) {
	s := mustOpen(t, Options{Dir: newDir(t)})
	want := map[string][]string{}
	for i := range 2*pageSize + 1 {
		client := string('a' + rune(i%2))
		e := mustPut(t, s, client, "")
		if i == 7 || i == pageSize+8 {
			test.OK(t, s.do(&op{do: func(w *writer) error {
				return w.exec("UPDATE request SET state = 'failed' WHERE seq = ?", e.Seq)
			}}))
			want["failed"] = append(want["failed"], e.ID)
		} else {
			want["waiting"] = append(want["waiting"], e.ID)
		}
		want[client] = append(want[client], e.ID)
		want[""] = append(want[""], e.ID)
	}
	for name, f := range map[string]Filter{
		"":        {},
		"a":       {Client: "a"},
		"b":       {Client: "b", States: States},
		"failed":  {States: []State{Failed, Unknown}},
		"waiting": {States: []State{Waiting}},
	} {
		if got := listed(t, s.reader, f); !slices.Equal(got, want[name]) {
			t.Errorf("%q: %d requests, want %d", name, len(got), len(want[name]))
		}
	}
	for range s.List(Filter{}) {
		break
	}
}

// A client's next request waits until the one before was delivered, or somebody has seen why not.
func TestInOrder(t *testing.T) {
	s := mustOpen(t, Options{Dir: newDir(t), InOrder: true})
	first, second := mustPut(t, s, "a", ""), mustPut(t, s, "a", "")
	other := mustPut(t, s, "b", "")
	next := func() (ids []string) {
		t.Helper()
		list, _, err := s.Next("api", 10)
		test.OK(t, err)
		for _, e := range list {
			ids = append(ids, e.ID)
		}
		return ids
	}
	if got := next(); !slices.Equal(got, []string{first.ID, other.ID}) {
		t.Errorf("next: %v", got)
	}
	test.OK(t, s.Finish(first.ID, Outcome{State: Waiting}))
	if got := next(); !slices.Equal(got, []string{first.ID}) {
		t.Errorf("next: %v", got)
	}
	test.OK(t, s.Finish(first.ID, Outcome{State: Failed}))
	if got := next(); got != nil {
		t.Errorf("behind one that has failed: %v", got)
	}
	for _, e := range []Entry{first, second, other} {
		want := ""
		if e.ID == second.ID {
			want = first.ID
		}
		if got := s.HeldUpBy(mustGet(t, s, e.ID)); got != want {
			t.Errorf("%d is held up by %q, want %q", e.Seq, got, want)
		}
	}
	test.OK(t, s.Requeue(first.ID))
	if got := next(); !slices.Equal(got, []string{first.ID}) {
		t.Errorf("next: %v", got)
	}
	test.OK(t, s.Finish(first.ID, Outcome{State: Unknown}))
	test.OK(t, s.Close())
	s = mustOpen(t, Options{Dir: s.dir, InOrder: true})
	if got := next(); !slices.Equal(got, []string{other.ID}) {
		t.Errorf("opened, behind one that is unknown: %v", got)
	}
	test.OK(t, s.Drop(first.ID))
	if got := next(); !slices.Equal(got, []string{second.ID}) {
		t.Errorf("next: %v", got)
	}
}

// A request in a state that is not known is unknown, and hinders no other one.
func TestStrangeState(t *testing.T) {
	dir := newDir(t)
	s := mustOpen(t, Options{Dir: dir})
	strange, other := mustPut(t, s, "a", "x"), mustPut(t, s, "b", "y")
	pragma(t, s, "UPDATE request SET state = 'half done' WHERE seq = %d", strange.Seq)
	test.OK(t, s.Close())

	r := mustOpenReader(t, dir)
	equal := func(what string, got []string, want ...string) {
		t.Helper()
		if !slices.Equal(got, want) {
			t.Errorf("%s: %s, want %s", what, got, want)
		}
	}
	equal("all", listed(t, r, Filter{}), strange.ID, other.ID)
	equal("unknown", listed(t, r, Filter{States: []State{Unknown}}), strange.ID)
	equal("of a client", listed(t, r, Filter{States: []State{Unknown}, Client: "b"}))
	equal("waiting", listed(t, r, Filter{States: []State{Waiting}}), other.ID)
	test.OK(t, r.Close())

	s = mustOpen(t, Options{Dir: dir})
	const why = `its state in the store is not known: "half done"`
	if e := mustGet(t, s, strange.ID); e.State != Unknown || e.Reason != why {
		t.Errorf("%s, %s", e.State, e.Reason)
	}
	if n := s.Stats(); n.Unknown != 1 || n.Waiting != 1 {
		t.Errorf("%+v", n)
	}
	if e := mustNext(t, s); e.ID != other.ID {
		t.Errorf("next is %s", e.ID)
	}
	test.OK(t, s.Requeue(strange.ID))
	if e := mustNext(t, s); e.ID != strange.ID || e.State != Waiting {
		t.Errorf("next is %s, %s", e.ID, e.State)
	}
	test.OK(t, s.Close())
}
