package order

import (
	"context"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/internal/stop"
	"github.com/penstock/penstock/internal/upstream"
	"github.com/penstock/penstock/throttle"
)

type testJob struct {
	item   item.Item
	failed bool
}

func (j *testJob) Item() *item.Item   { return &j.item }
func (j *testJob) FailedBefore() bool { return j.failed }

// A testEngine sends one job after the other to servers of which some refuse.
type testEngine struct {
	queue   *Queue[*testJob]
	before  map[string]item.Fate // by path
	refuses func(*item.Item) bool
	sent    []string
	waits   int
}

func newTest(e *testEngine) *Queue[*testJob] {
	transport := &throttle.Transport{}
	servers := &upstream.Set{
		Upstream: transport.Upstream,
		One:      true,
		Whole:    func() bool { return false },
		End:      func(stop.Reason) {},
		Closed:   func(*upstream.Server, stop.ServerReason) {},
	}
	q := &Queue[*testJob]{Engine: e, Servers: servers}
	e.queue = q
	return q
}

func (e *testEngine) Before(it item.Item) item.Fate { return e.before[it.Path] }
func (e *testEngine) FailedBefore() bool            { return len(e.before) > 0 }
func (e *testEngine) Claim(it item.Item) (*testJob, bool) {
	before := e.before[it.Path]
	return &testJob{it, before == item.Failed}, before != item.Delivered
}

func (e *testEngine) Submit(ctx context.Context, j *testJob) error {
	s := e.queue.Servers.Of("http://h")
	if s.Gone() != nil || e.queue.Take(j) {
		return ctx.Err()
	}
	e.sent = append(e.sent, j.item.Path)
	a := upstream.Answer{Status: http.StatusForbidden, Sent: time.Now()}
	if e.refuses(&j.item) {
		s.Judged(a, time.Now())
		e.queue.Refused(s, &j.item, a.Status)
	} else {
		a.Status, a.Accepted = http.StatusOK, true
		s.Judged(a, time.Now())
	}
	return ctx.Err()
}

func (e *testEngine) Wait(ctx context.Context) error {
	e.waits++
	return ctx.Err()
}

func testItem(dir string, i int) item.Item {
	return item.Item{Path: fmt.Sprintf("%s/%03d", dir, i), URL: "http://h/x",
		Fingerprint: item.Fingerprint{ModTime: time.Unix(int64(i), 0)}}
}

// What failed before is sent last, what was delivered in its turn, which skips it.
func TestFailedGoLast(t *testing.T) {
	e := &testEngine{before: map[string]item.Fate{"d/000": item.Failed, "d/001": item.Delivered},
		refuses: func(*item.Item) bool { return false }}
	q := newTest(e)
	for i := range 4 {
		q.Read(testItem("d", i))
		q.Send(t.Context(), testItem("d", i))
	}
	q.Finish(t.Context())
	if want := []string{"d/002", "d/003", "d/000"}; !slices.Equal(e.sent, want) {
		t.Errorf("sent %q, want %q", e.sent, want)
	}
}

// After twenty alike the newest item decides whether the server is given up.
func TestNewestDecides(t *testing.T) {
	for _, c := range []struct {
		name    string
		refuses func(*item.Item) bool
		sent    int
		gone    bool
	}{
		{"all are refused", func(*item.Item) bool { return true }, 21, true},
		{"the newest is accepted", func(it *item.Item) bool { return it.Path < "d/025" }, 100,
			false},
		{"others are accepted", func(it *item.Item) bool { return it.Path < "d/010" }, 100, false},
	} {
		e := &testEngine{refuses: c.refuses}
		q := newTest(e)
		for i := range 100 {
			q.Read(testItem("d", i))
			q.Send(t.Context(), testItem("d", i))
		}
		q.Finish(t.Context())
		gone := q.Servers.Of("http://h").Gone()
		if len(e.sent) != c.sent || (gone != nil) != c.gone {
			t.Errorf("%s: %d sent, %v", c.name, len(e.sent), gone)
		}
		if c.sent < 100 && e.sent[20] != "d/099" {
			t.Errorf("%s: the last try was %s", c.name, e.sent[20])
		}
	}
}

// Items of other directories are tried while those of one are refused. Only where all go to one
// server they are waited for.
func TestOtherDirectories(t *testing.T) {
	for _, one := range []bool{true, false} {
		e := &testEngine{refuses: func(it *item.Item) bool {
			return filepath.Dir(it.Path) == "bad"
		}}
		q := newTest(e)
		q.Servers.One = one
		for i := range 60 {
			q.Read(testItem("bad", i))
			q.Send(t.Context(), testItem("bad", i))
		}
		e.waits = 0
		q.Read(testItem("good", 1))
		q.Send(t.Context(), testItem("good", 1))
		if last := e.sent[len(e.sent)-1]; len(e.sent) != 21 || last != "good/001" ||
			(e.waits == 1) != one {
			t.Errorf("one server %v: %d sent, the last is %s; waited %d times", one, len(e.sent),
				last, e.waits)
		}
		q.Finish(t.Context())
		if len(e.sent) != 61 {
			t.Errorf("%d sent in the end", len(e.sent))
		}
	}
}

// The items that are put aside are bounded, also if the server had accepted something just when
// their number was reached.
func TestAsideIsBounded(t *testing.T) {
	e := &testEngine{refuses: func(*item.Item) bool { return true }}
	q := newTest(e)
	q.Servers.One = false
	q.Servers.Of("http://other") // of one server alone the newest item would be tried
	s := q.Servers.Of("http://h")
	q.refused = make([]item.Item, maxAside)
	for range 20 {
		s.Refuse("d", http.StatusForbidden)
	}
	q.doubting.Store(true)
	it := testItem("d", 1)
	if _, doubted := q.mayBeRefused(&it); !doubted {
		t.Fatal("the server is not in doubt")
	}
	if q.putAside(t.Context(), it) || len(q.refused) != maxAside {
		t.Errorf("%d items are aside", len(q.refused))
	}
	if s.Gone() == nil {
		t.Error("the server is tried further")
	}
}

// heavy is the content of an item that is in memory.
type heavy struct {
	item.Content
	size int
}

func (h heavy) Held() int { return h.size }

// Of items whose bodies are in memory fewer are put aside.
func TestAsideIsBoundedByMemory(t *testing.T) {
	e := &testEngine{refuses: func(*item.Item) bool { return true }}
	q := newTest(e)
	q.Servers.One = false
	q.Servers.Of("http://other")
	s := q.Servers.Of("http://h")
	for range 20 {
		s.Refuse("d", http.StatusForbidden)
	}
	q.doubting.Store(true)
	it := testItem("d", 1)
	it.Content = heavy{size: itemSize * maxAside / 4}
	aside := 0
	for q.putAside(t.Context(), it) {
		aside++
	}
	if aside != 4 {
		t.Errorf("%d items are aside", aside)
	}
}

// An item that cannot be sent shows that there are other directories all the same.
func TestUnsendableItemsCount(t *testing.T) {
	for _, elsewhere := range []bool{false, true} {
		e := &testEngine{refuses: func(it *item.Item) bool { return it.Path >= "d/005" }}
		q := newTest(e)
		if elsewhere {
			q.Read(testItem("other", 1))
		}
		for i := range 80 {
			q.Read(testItem("d", i))
			q.Send(t.Context(), testItem("d", i))
		}
		q.Finish(t.Context())
		if gone := q.Servers.Of("http://h").Gone(); (gone == nil) != elsewhere {
			t.Errorf("another directory: %v, %d sent: %v", elsewhere, len(e.sent), gone)
		}
	}
}
