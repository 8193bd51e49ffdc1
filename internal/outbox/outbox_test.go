package outbox

import (
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/penstock/penstock/internal/test"
)

// sameEntry compares what Put, Get, List and Next return of a request.
var sameEntry = cmpopts.IgnoreUnexported(Entry{})

func wantEntry(t *testing.T, what string, got, want Entry) {
	t.Helper()
	if d := cmp.Diff(want, got, sameEntry); d != "" {
		t.Errorf("%s (-want +got):\n%s", what, d)
	}
}

// A request is the same wherever it is asked for, also after a restart, from being put to its end.
func TestLife(t *testing.T) {
	for name, size := range map[string]int{"empty": 0, "in the row": maxInRow,
		"in a file": maxInRow + 1} {
		t.Run(name, func(t *testing.T) {
			dir := newDir(t)
			s := mustOpen(t, Options{Dir: dir})
			body := strings.Repeat("x", size)
			want := mustPut(t, s, "c", body)
			if want.State != Waiting || want.Size != int64(size) ||
				cmp.Diff(want.Request, request("c")) != "" {

				t.Errorf("put: %+v", want)
			}
			same := func(when string) {
				t.Helper()
				wantEntry(t, when, mustGet(t, s, want.ID), want)
			}
			reopen := func() {
				t.Helper()
				test.OK(t, s.Close())
				s = mustOpen(t, Options{Dir: dir})
			}
			same("put")
			reopen()
			same("opened again")
			if n := len(files(t, dir)); n != size/(maxInRow+1) {
				t.Errorf("%d files", n)
			}

			wantEntry(t, "next", mustNext(t, s), want)
			if list, _, err := s.Next("api", 1); len(list) > 0 || err != nil {
				t.Errorf("next again: %v, %v", list, err)
			}
			test.OK(t, s.Begin(want.ID, false))
			got := mustGet(t, s, want.ID)
			if got.First.IsZero() {
				t.Error("begun at no time")
			}
			want.State, want.First = Sending, got.First
			same("begun")
			if got := mustRead(t, s, want.ID); got != body {
				t.Errorf("a body of %d bytes", len(got))
			}

			due := time.Now().Add(time.Hour).Truncate(time.Millisecond)
			want.State, want.Due, want.Attempts, want.Status = Waiting, due, 1, 503
			want.Reason = "busy"
			test.OK(t, s.Finish(want.ID, Outcome{State: Waiting, Due: due, Attempts: 1, Status: 503,
				Reason: "busy", Doubt: true}))
			same("to be sent again")
			reopen()
			same("to be sent again, opened")
			list, more, err := s.Next("api", 1)
			if len(list) > 0 || !more.Equal(due) || err != nil {
				t.Errorf("not due: %v, %v, %v", list, more, err)
			}
			test.OK(t, s.Close())
		})
	}
}

// What was delivered has an answer and no body.
func TestDelivered(t *testing.T) {
	dir := newDir(t)
	s := mustOpen(t, Options{Dir: dir})
	small, large := mustPut(t, s, "c", "body"), mustPut(t, s, "c", strings.Repeat("x", 1<<20))
	for _, e := range []Entry{mustNext(t, s), mustNext(t, s)} {
		test.OK(t, s.Begin(e.ID, true))
		test.OK(t, s.Finish(e.ID, Outcome{State: Delivered, Attempts: 2, Status: 201,
			Answer: &Answer{Header: http.Header{"Location": {"/1"}}, Body: make([]byte, 1<<20)}}))
	}
	for _, e := range []Entry{small, large} {
		want := e
		got := mustGet(t, s, e.ID)
		want.State, want.Attempts, want.Status = Delivered, 2, 201
		want.First, want.Ended = got.First, got.Ended
		want.Answer = &Answer{Header: http.Header{"Location": {"/1"}},
			Body: make([]byte, MaxAnswer), Cut: true}
		wantEntry(t, "delivered", got, want)
		if got.First.IsZero() || got.Ended.IsZero() {
			t.Errorf("first attempt %v, ended %v", got.First, got.Ended)
		}
		if _, err := s.Body(e.ID); !errors.Is(err, ErrDelivered) {
			t.Errorf("body: %v", err)
		}
		if err := s.Finish(e.ID, Outcome{State: Failed}); !errors.Is(err, ErrNotFound) {
			t.Errorf("finished twice: %v", err)
		}
	}
	if names := files(t, dir); names != nil {
		t.Errorf("left: %v", names)
	}
	if st := s.Stats(); st != (Stats{Delivered: 2}) {
		t.Errorf("%+v", st)
	}
	test.OK(t, s.Close())
}

// Status and answer are of the same attempt, the last one.
func TestLastAnswer(t *testing.T) {
	s := mustOpen(t, Options{Dir: newDir(t)})
	defer s.Close()
	e := mustPut(t, s, "c", "body")
	want := func(status int, answer bool) {
		t.Helper()
		kept := int64(0)
		if answer {
			kept = 5
		}
		got := mustGet(t, s, e.ID)
		if got.Status != status || (got.Answer != nil) != answer || s.kept != kept {
			t.Errorf("%+v, and %d bytes are kept", got, s.kept)
		}
	}
	refuse := func() {
		mustNext(t, s)
		test.OK(t, s.Begin(e.ID, true))
		test.OK(t, s.Finish(e.ID, Outcome{State: Waiting, Status: 401,
			Answer: &Answer{Body: []byte("never")}}))
		want(401, true)
		mustNext(t, s)
		test.OK(t, s.Begin(e.ID, true))
	}
	refuse()
	s.Tried(e.ID, Outcome{State: Waiting, Status: 503})
	test.OK(t, s.Try()) // which comes after it
	want(503, false)
	test.OK(t, s.Finish(e.ID, Outcome{State: Waiting}))
	refuse()
	test.OK(t, s.Finish(e.ID, Outcome{State: Unknown}))
	want(0, false)
}

// What an attempt has led to is on record while another one is due. After a crash a request that
// the server does not have waits, also if it was noted.
func TestTried(t *testing.T) {
	for state, want := range map[State]State{Waiting: Waiting, Sending: Unknown} {
		dir := newDir(t)
		s := mustOpen(t, Options{Dir: dir})
		e := mustPut(t, s, "c", "body")
		mustNext(t, s)
		test.OK(t, s.Begin(e.ID, true))
		s.Tried(e.ID, Outcome{State: state, Attempts: 3, Status: 503, Reason: "busy"})
		if state == Sending {
			if err := s.Withdraw(e.ID); !errors.Is(err, ErrBegun) {
				t.Errorf("withdrawn: %v", err)
			}
		}
		test.OK(t, s.Close()) // nobody has finished it
		s = mustOpen(t, Options{Dir: dir})
		got := mustGet(t, s, e.ID)
		if got.State != want || got.Attempts != 3 || got.Status != 503 ||
			got.First.IsZero() != (state == Waiting) {

			t.Errorf("%s: %+v", state, got)
		}
		if state == Waiting {
			mustNext(t, s)
			test.OK(t, s.Begin(e.ID, true))
			s.Tried(e.ID, Outcome{State: Waiting})
			test.OK(t, s.Withdraw(e.ID))
			if err := s.Begin(e.ID, true); !errors.Is(err, ErrNotFound) {
				t.Errorf("begun after it was withdrawn: %v", err)
			}
		} else {
			test.OK(t, s.Requeue(e.ID))
			if got := mustNext(t, s); !got.First.IsZero() {
				t.Errorf("requeued, it is in doubt: %+v", got)
			}
		}
	}
}

// What is kept of answers is bounded. It is less then, and there is room when results are gone.
func TestAnswersBound(t *testing.T) {
	dir := newDir(t)
	s := mustOpen(t, Options{Dir: dir, MaxBytes: 1000})
	finish := func(state State, size int) *Answer {
		t.Helper()
		e := mustPut(t, s, "c", "")
		mustNext(t, s)
		test.OK(t, s.Finish(e.ID, Outcome{State: state, Answer: &Answer{Body: make([]byte, size)}}))
		return mustGet(t, s, e.ID).Answer
	}
	want := func(a *Answer, size int, cut bool) {
		t.Helper()
		if len(a.Body) != size || a.Cut != cut {
			t.Errorf("%d bytes, %v; want %d, %v", len(a.Body), a.Cut, size, cut)
		}
	}
	want(finish(Delivered, 600), 600, false)
	want(finish(Failed, 300), 300, false)
	test.OK(t, s.Close())
	s = mustOpen(t, Options{Dir: dir, MaxBytes: 1000})
	want(finish(Delivered, 300), 100, true)
	want(finish(Delivered, 300), 0, true)
	if n, err := s.Prune(time.Now().Add(time.Hour)); n != 3 || err != nil {
		t.Errorf("%d pruned, %v", n, err)
	}
	want(finish(Delivered, 701), 700, true)
}

// Pending says for which targets something waits or is being sent.
func TestPending(t *testing.T) {
	s := mustOpen(t, Options{Dir: newDir(t)})
	for range 3 {
		mustPut(t, s, "c", "")
	}
	if got := s.Pending(); len(got) != 1 || got["api"] != 3 {
		t.Errorf("%v", got)
	}
	for n := range 3 {
		e := mustNext(t, s)
		state := []State{Delivered, Failed, Waiting}[n]
		test.OK(t, s.Finish(e.ID, Outcome{State: state, Due: time.Now().Add(time.Hour)}))
	}
	if got := s.Pending(); len(got) != 1 || got["api"] != 1 {
		t.Errorf("%v", got)
	}
	mustNoNext(t, s)
}

func mustNoNext(t *testing.T, s *Store) {
	t.Helper()
	if list, _, err := s.Next("api", 9); len(list) > 0 || err != nil {
		t.Errorf("next: %v, %v", list, err)
	}
}

func TestStats(t *testing.T) {
	dir := newDir(t)
	s := mustOpen(t, Options{Dir: dir})
	var entries []Entry
	for range 5 {
		entries = append(entries, mustPut(t, s, "c", "12345"))
	}
	states := []State{Delivered, Failed, Unknown}
	for i, e := range entries[:4] {
		if got := mustNext(t, s); got.ID != e.ID {
			t.Fatalf("next is %d, not %d", got.Seq, e.Seq)
		}
		test.OK(t, s.Begin(e.ID, true))
		if i < len(states) {
			test.OK(t, s.Finish(e.ID, Outcome{State: states[i]}))
		}
	}
	want := Stats{Waiting: 1, Sending: 1, Delivered: 1, Failed: 1, Unknown: 1, Bytes: 20,
		Oldest: entries[3].Accepted}
	if got := s.Stats(); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	test.OK(t, s.Close())
	s = mustOpen(t, Options{Dir: dir})
	want.Sending, want.Unknown, want.Oldest = 0, 2, entries[4].Accepted
	if got := s.Stats(); got != want {
		t.Errorf("opened: %+v, want %+v", got, want)
	}
}

func TestBounds(t *testing.T) {
	dir := newDir(t)
	s := mustOpen(t, Options{Dir: dir, MaxRequests: 3, MaxBytes: 200_000})
	e := mustPut(t, s, "c", strings.Repeat("x", 190_000))
	put := func(size int) error {
		_, err := s.Put(request("c"), strings.NewReader(strings.Repeat("x", size)))
		return err
	}
	for _, size := range []int{10_001, 100_000} {
		if err := put(size); !errors.Is(err, ErrFull) {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
	if st := s.Stats(); st.Bytes != 190_000 || len(files(t, dir)) != 1 {
		t.Errorf("%+v, files %v", st, files(t, dir))
	}
	test.OK(t, put(10_000))
	test.OK(t, put(0))
	if err := put(0); !errors.Is(err, ErrFull) {
		t.Errorf("the fourth request: %v", err)
	}
	test.OK(t, s.Withdraw(e.ID))
	test.OK(t, put(100_000))
}

// The error of a client's body is that of Put, and nothing is left of the request.
func TestBodyFails(t *testing.T) {
	dir := newDir(t)
	s := mustOpen(t, Options{Dir: dir})
	broken := errors.New("broken")
	for _, size := range []int{0, 100, maxInRow + 1, 1 << 20} {
		body := io.MultiReader(strings.NewReader(strings.Repeat("x", size)),
			iotest.ErrReader(broken))
		if _, err := s.Put(request("c"), body); err != broken {
			t.Errorf("after %d bytes: %v", size, err)
		}
	}
	if st := s.Stats(); st != (Stats{}) || files(t, dir) != nil {
		t.Errorf("left: %+v, %v", st, files(t, dir))
	}
}

func TestWithdraw(t *testing.T) {
	dir := newDir(t)
	s := mustOpen(t, Options{Dir: dir})
	waits := mustPut(t, s, "a", strings.Repeat("x", 1<<20))
	test.OK(t, s.Withdraw(waits.ID))
	if _, err := s.Get(waits.ID); !errors.Is(err, ErrNotFound) {
		t.Errorf("withdrawn: %v", err)
	}
	if files(t, dir) != nil {
		t.Error("its body is left")
	}
	if err := s.Withdraw(waits.ID); !errors.Is(err, ErrNotFound) {
		t.Errorf("withdrawn again: %v", err)
	}

	taken := mustPut(t, s, "a", "")
	mustNext(t, s)
	test.OK(t, s.Withdraw(taken.ID))
	if err := s.Begin(taken.ID, false); !errors.Is(err, ErrNotFound) {
		t.Errorf("begun: %v", err)
	}
	for _, note := range []bool{false, true} {
		begun := mustPut(t, s, "a", "")
		mustNext(t, s)
		test.OK(t, s.Begin(begun.ID, note))
		if err := s.Withdraw(begun.ID); !errors.Is(err, ErrBegun) {
			t.Errorf("being sent: %v", err)
		}
		if err := s.Drop(begun.ID); !errors.Is(err, ErrNotEnded) {
			t.Errorf("being sent: %v", err)
		}
		test.OK(t, s.Finish(begun.ID, Outcome{State: Failed}))
		if err := s.Withdraw(begun.ID); !errors.Is(err, ErrBegun) {
			t.Errorf("failed: %v", err)
		}
		test.OK(t, s.Drop(begun.ID))
	}
	if st := s.Stats(); st != (Stats{}) {
		t.Errorf("left: %+v", st)
	}
}

func TestRequeue(t *testing.T) {
	s := mustOpen(t, Options{Dir: newDir(t)})
	for _, state := range []State{Failed, Unknown} {
		e := mustPut(t, s, "a", "body")
		if err := s.Requeue(e.ID); !errors.Is(err, ErrNotEnded) {
			t.Errorf("it waits: %v", err)
		}
		if err := s.Drop(e.ID); !errors.Is(err, ErrNotEnded) {
			t.Errorf("it waits: %v", err)
		}
		mustNext(t, s)
		test.OK(t, s.Finish(e.ID, Outcome{State: state, Reason: "why"}))
		test.OK(t, s.Requeue(e.ID))
		if got := mustNext(t, s); got.ID != e.ID || !got.Ended.IsZero() {
			t.Errorf("next: %+v", got)
		}
		if got := mustRead(t, s, e.ID); got != "body" {
			t.Errorf("body %q", got)
		}
		test.OK(t, s.Finish(e.ID, Outcome{State: Delivered, Answer: new(Answer)}))
		if err := s.Requeue(e.ID); !errors.Is(err, ErrDelivered) {
			t.Errorf("delivered: %v", err)
		}
	}
}

// No ID but a right one finds a request.
func TestIDs(t *testing.T) {
	s := mustOpen(t, Options{Dir: newDir(t)})
	id := mustPut(t, s, "a", "").ID
	other := mustPut(t, s, "a", "").ID
	for _, bad := range []string{"", "-", "1", "0-", "x-y", "../outbox.db", "0" + id, id + "a",
		strings.ToUpper(id), id[:len(id)-1], id[:2] + other[2:], "+" + id, " " + id,
		"9223372036854775808-" + id[2:]} {
		if _, err := s.Get(bad); !errors.Is(err, ErrNotFound) {
			t.Errorf("%q: get: %v", bad, err)
		}
		for what, do := range map[string]func(string) error{"withdraw": s.Withdraw,
			"drop": s.Drop, "requeue": s.Requeue,
			"begin":  func(id string) error { return s.Begin(id, true) },
			"finish": func(id string) error { return s.Finish(id, Outcome{State: Failed}) },
		} {
			if err := do(bad); !errors.Is(err, ErrNotFound) {
				t.Errorf("%q: %s: %v", bad, what, err)
			}
		}
		if _, err := s.Body(bad); !errors.Is(err, ErrNotFound) {
			t.Errorf("%q: body: %v", bad, err)
		}
	}
}

func TestPermissions(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows has other permissions")
	}
	dir := newDir(t)
	s := mustOpen(t, Options{Dir: dir})
	mustPut(t, s, "c", strings.Repeat("x", 1<<20))
	test.OK(t, filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		info, err1 := d.Info()
		if err = errors.Join(err, err1); err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: %v", path, info.Mode())
		}
		return err
	}))
}
