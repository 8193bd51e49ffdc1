package report

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/human"
	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/internal/outcome"
	"github.com/penstock/penstock/internal/progress"
	"github.com/penstock/penstock/internal/results"
)

var start = time.Date(2026, 3, 1, 22, 0, 0, 0, time.UTC)

func TestTallyCountsAll(t *testing.T) {
	tally := NewTally(start)
	const workers, each = 16, 500
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := range each {
				at := start.Add(time.Duration(i) * time.Millisecond)
				tally.Sent(at)
				tally.Request(Request{Outcome: outcome.Accepted, Status: 201,
					Latency: time.Millisecond})
				tally.Item(results.Result{Status: item.Delivered, Bytes: 10})
				tally.Hold(progress.LimitRate, at)
				if i%100 == w {
					tally.Snapshot(at)
				}
			}
		})
	}
	wg.Wait()
	s := tally.Summary(start.Add(time.Second), 0)
	const n = workers * each
	if s.Items.Total != n || s.Items.Delivered != n || s.Items.Remaining != 0 ||
		s.Bytes.Delivered != 10*n {
		t.Errorf("items %+v, bytes %+v", s.Items, s.Bytes)
	}
	if s.Requests.Sent != n || s.Requests.Accepted != n || s.Requests.ByStatus["201"] != n ||
		s.Rate.MaxIn1s != n {
		t.Errorf("requests %+v, rate %+v", s.Requests, s.Rate)
	}
	if s.Waited[progress.LimitRate] != 1 {
		t.Errorf("waited %+v, want a second of rate", s.Waited)
	}
}

// Items that an earlier run had refused are not counted again.
func TestTallyRefusals(t *testing.T) {
	tally := NewTally(start)
	for _, it := range []results.Result{
		{Status: item.Failed, HTTPStatus: 403, Attempts: 1},
		{Status: item.Failed, HTTPStatus: 403, Attempts: 2},
		{Status: item.Failed, HTTPStatus: 403},
		{Status: item.Failed, HTTPStatus: 401, Attempts: 1},
		{Status: item.Unknown, HTTPStatus: 403, Attempts: 1},
		{Status: item.Delivered, HTTPStatus: 200, Attempts: 1},
	} {
		tally.Item(it)
	}
	got := tally.Summary(start, 0).Refusals
	if want := map[int]int{401: 1, 403: 2}; !maps.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

func TestTallyOutcomes(t *testing.T) {
	tally := NewTally(start)
	for i, r := range []Request{
		{Outcome: outcome.Accepted, Status: 201, Latency: time.Second},
		{Outcome: outcome.Throttled, Status: 429, Latency: time.Second},
		{Outcome: outcome.Overloaded, Status: 503, Latency: time.Second},
		{Outcome: outcome.Overloaded, Status: 0, Latency: time.Minute},
		{Outcome: outcome.TimedOut, Status: 504, Latency: time.Second},
		{Outcome: outcome.TimedOut, Status: 0, Latency: 3 * time.Second},
		{Outcome: outcome.Errored, Status: 400, Latency: time.Second},
		{Outcome: outcome.Errored, Status: 0, Latency: time.Minute},
		{Outcome: 99, Status: 99999, Latency: -time.Second},
	} {
		tally.Sent(start.Add(time.Duration(i) * time.Second))
		tally.Request(r)
	}
	tally.Sent(start.Add(9 * time.Second)) // never answered
	s := tally.Summary(start.Add(10*time.Second), 0)
	r := s.Requests
	if r.Sent != 10 || r.Accepted != 1 || r.Throttled != 1 || r.Overloaded != 2 ||
		r.TimedOut != 2 || r.Errors != 3 || r.Waste != 0.5 {
		t.Errorf("%+v", r)
	}
	// Each request has one place.
	var sum int64
	for _, m := range []map[string]int64{r.ByStatus, r.NoAnswer} {
		for _, n := range m {
			sum += n
		}
	}
	if len(r.ByStatus) != 5 || r.NoAnswer["cancelled"] != 4 || r.NoAnswer["not finished"] != 1 ||
		sum != r.Sent {
		t.Errorf("by status %v, without an answer %v", r.ByStatus, r.NoAnswer)
	}
	if s.Rate.Achieved != 1 || s.Rate.MaxIn1s != 1 {
		t.Errorf("rate %+v, want exactly 1", s.Rate)
	}
	// A refused connection has no latency, a timeout has.
	if s.Latency.Max != 3 {
		t.Errorf("latency %+v", s.Latency)
	}
}

func TestLatencyDigits(t *testing.T) {
	tally := NewTally(start)
	for i := range 1000 {
		tally.Request(Request{Outcome: outcome.Accepted, Status: 200,
			Latency: time.Duration(i+1) * time.Millisecond})
	}
	// beyond what the histogram tells apart
	tally.Request(Request{Outcome: outcome.Accepted, Status: 200, Latency: 5 * time.Hour})
	l := tally.Summary(start, 0).Latency
	for _, tt := range []struct {
		name      string
		got, want float64
	}{{"p50", l.P50, 0.501}, {"p95", l.P95, 0.951}, {"p99", l.P99, 0.991}, {"max", l.Max, 18000},
		{"mean", l.Mean, (500.5 + 18000) / 1001}} {
		if tt.got < tt.want*0.99 || tt.got > tt.want*1.01 {
			t.Errorf("%s is %g, want %g", tt.name, tt.got, tt.want)
		}
	}
	one := NewTally(start)
	one.Request(Request{Outcome: outcome.Accepted, Status: 200, Latency: 1030 * time.Millisecond})
	if l := one.Summary(start, 0).Latency; *l != (Latency{1.03, 1.03, 1.03, 1.03, 1.03}) {
		t.Errorf("a single sample of 1.03 s gives %+v", *l)
	}
}

func TestHold(t *testing.T) {
	tally := NewTally(start)
	at := func(s float64) time.Time { return start.Add(human.Seconds(s)) }
	tally.Hold(progress.LimitRate, at(1)) // the first second was held by nothing
	tally.Hold(progress.LimitRate, at(2))
	tally.Hold(progress.LimitCoolDown, at(4))
	tally.Hold(progress.LimitDown, at(3)) // late: it never ran backwards
	tally.Hold(progress.LimitBandwidth, at(5))
	tally.Hold(progress.LimitConcurrency, at(5.5))
	tally.Hold(progress.LimitBackoff, at(6))
	want := Waited{
		progress.LimitRate: 3, progress.LimitDown: 1, progress.LimitBandwidth: 0.5,
		progress.LimitConcurrency: 0.5, progress.LimitBackoff: 4, progress.LimitCoolDown: 0,
		progress.LimitQuota: 0,
	}
	if got := tally.Summary(at(10), 0).Waited; !maps.Equal(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestEmptySummary(t *testing.T) {
	s := NewTally(start).Summary(start, 3)
	b, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{`"latency_seconds":null`, `"achieved":null`, `"ceiling":null`,
		`"by_status":{}`, `"remaining":3`} {
		if !strings.Contains(string(b), part) {
			t.Errorf("no %s in %s", part, b)
		}
	}
}

func TestGroups(t *testing.T) {
	for _, same := range [][]string{
		{"bad record 17", "bad record 4", "bad  record 1a"},
		{`no field "name"`, `no field "a b"`, "no field `x`", "no field 'y z'"},
		{"open /data/a: no such file", "open data/b/c: no such file", `open C:\b: no such file`},
		{"Put https://h/a: EOF", "Put https://h/b?x=***: EOF"},
		{"request 3f2a-99 at 12:03", "request a7 at 13:44"},
	} {
		for _, s := range same[1:] {
			if a, b := normalise(same[0]), normalise(s); a != b {
				t.Errorf("%q is not like %q: %q, %q", s, same[0], b, a)
			}
		}
	}
	for _, pair := range [][2]string{
		{"bad record", "bad header"}, {"can't read", "can't write"}, {"", "x"}, {`"a`, `"b`},
		{"a 1", "a"},
	} {
		if normalise(pair[0]) == normalise(pair[1]) {
			t.Errorf("%q and %q are taken for the same", pair[0], pair[1])
		}
	}
}

func TestGroupsAreBounded(t *testing.T) {
	tally := NewTally(start)
	word := func(i int) string { // no digit to be normalised away
		return strings.Map(func(r rune) rune { return r - '0' + 'a' }, fmt.Sprint(i))
	}
	long := strings.Repeat("é", 1<<20)
	for i := range 1000 {
		tally.Item(results.Result{Path: word(i), Status: item.Failed, Error: word(i) + " " + long})
		tally.Item(results.Result{Path: "p", Status: item.Skipped, Error: "left out"})
	}
	tally.Item(results.Result{Path: "p", Status: item.Failed, Error: word(3) + " " + long})
	s := tally.Summary(start, 0)
	if len(s.Errors) != maxGroups || s.OtherErrors != 1000-maxGroups {
		t.Fatalf("%d groups and %d others", len(s.Errors), s.OtherErrors)
	}
	if g := s.Errors[0]; g.Count != 2 || g.Path != word(3) || len(g.Error) > maxText {
		t.Errorf("the largest group is %.80v", g)
	}
}

func TestMemoryDoesNotGrowWithItems(t *testing.T) {
	tally := NewTally(start)
	feed := func(from, to int) {
		for i := from; i < to; i++ {
			at := start.Add(time.Duration(i) * 100 * time.Microsecond)
			tally.Sent(at)
			tally.Request(Request{Outcome: outcome.Throttled, Status: 429,
				Latency: time.Millisecond})
			tally.Item(results.Result{Path: fmt.Sprint(i), Status: item.Failed,
				Error: fmt.Sprintf("refused %d", i)})
		}
	}
	heap := func() int64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	feed(0, 30_000)
	before := heap()
	feed(30_000, 230_000)
	if grown := heap() - before; grown > 100<<10 {
		t.Errorf("200,000 more items cost %d bytes", grown)
	}
	runtime.KeepAlive(tally)
}

func BenchmarkTally(b *testing.B) {
	for _, bench := range []struct {
		name string
		do   func(t *Tally, i int64)
	}{
		{"Sent", func(t *Tally, i int64) {
			t.Sent(start.Add(time.Duration(i) * 20 * time.Microsecond))
		}},
		{"Request", func(t *Tally, i int64) {
			t.Request(Request{Outcome: outcome.Accepted, Status: 201,
				Latency: time.Duration(i%1000) * time.Millisecond})
		}},
		{"Item", func(t *Tally, i int64) {
			t.Item(results.Result{Path: "data/a", Status: item.Delivered, Bytes: 4096})
		}},
		{"FailedItem", func(t *Tally, i int64) {
			t.Item(results.Result{Path: "data/a", Status: item.Failed,
				Error: `HTTP 400: record 17: no field "name" in /data/a.json`})
		}},
	} {
		b.Run(bench.name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetParallelism(64 / runtime.GOMAXPROCS(0))
			tally := NewTally(start)
			var i atomic.Int64 // part of the price
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					bench.do(tally, i.Add(1))
				}
			})
		})
	}
}

// Every instant up to 10 ms late: far worse than what many goroutines do.
func BenchmarkSentDisordered(b *testing.B) {
	tally := NewTally(start)
	rnd := rand.New(rand.NewPCG(1, 2))
	for i := range b.N {
		late := time.Duration(rnd.Int64N(int64(10 * time.Millisecond)))
		tally.Sent(start.Add(time.Duration(i)*20*time.Microsecond - late))
	}
}

func TestSnapshotBytes(t *testing.T) {
	tally := NewTally(start)
	tally.Item(results.Result{Status: item.Delivered, Bytes: 1})
	tally.Item(results.Result{Status: item.Skipped, Bytes: 2})
	for _, status := range []item.Fate{item.Deferred, item.Failed, item.Unknown} {
		tally.Item(results.Result{Status: status, Bytes: 4})
	}
	if s := tally.Snapshot(start); s.Bytes != 3 || s.SkippedBytes != 2 || s.DeliveredBytes != 1 ||
		s.LostBytes != 12 {
		t.Errorf("%+v", s)
	}
}
