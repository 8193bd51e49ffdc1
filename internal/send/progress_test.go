package send

import (
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock/penstock/internal/exit"
	"github.com/penstock/penstock/internal/journal"
	"github.com/penstock/penstock/internal/lab"
	"github.com/penstock/penstock/internal/memnet"
	"github.com/penstock/penstock/internal/progress"
	"github.com/penstock/penstock/internal/race"
	"github.com/penstock/penstock/internal/report"
	"github.com/penstock/penstock/internal/source"
	"github.com/penstock/penstock/internal/test"
	"github.com/penstock/penstock/throttle"
)

// An etaCase is a steady server and what is sent to it.
type etaCase struct {
	name   string
	preset string
	params string
	sizes  []int64          // of the files, in the order in which they are sent
	serve  http.HandlerFunc // instead of a preset
	first  time.Duration    // of an earlier run

	journal bool // on a disk that is slow now and then

	from   time.Duration // where it takes longer than ten seconds to see what the server does
	grain  time.Duration // of the run's end: a pause, or the answers at once
	seldom bool          // there may be nothing to say
	limits throttle.Limits
}

func files(n int, size int64) []int64 {
	all := make([]int64, n)
	for i := range all {
		all[i] = size
	}
	return all
}

// turns are the sizes n times.
func turns(n int, sizes []int64) (all []int64) {
	for range n {
		all = append(all, sizes...)
	}
	return all
}

func (c etaCase) run(t *testing.T) (seen []progress.Snapshot, s report.Summary) {
	dir := t.TempDir()
	for i, size := range c.sizes {
		name := filepath.Join(dir, fmt.Sprintf("%05d", i))
		test.OK(t, os.WriteFile(name, nil, 0o600))
		if err := os.Truncate(name, size); err != nil {
			t.Fatal(err)
		}
	}
	params, err := url.ParseQuery(c.params)
	test.OK(t, err)
	onFakeTime(t, 0, c.serve, func(w *world) {
		if c.serve == nil {
			server, err := lab.New(c.preset, params)
			test.OK(t, err)
			l := memnet.Listen()
			defer l.Close()
			w.Network.Dial = l.DialContext
			server.Start(l)
			defer server.Close()
		}
		w.from("http://127.0.0.1/{path}", source.Options{Paths: []string{dir}})
		w.Limits = c.limits
		if c.journal {
			w.journal(w.db)
			stop, stopped := make(chan struct{}), make(chan struct{})
			defer func() { close(stop); <-stopped }()
			go hinder(w.Journal, stop, stopped)
		}
		if c.first > 0 {
			w.journal(w.db)
			w.MaxDuration = c.first
			w.runAny()
			w.MaxDuration, w.watch.snapshots = 0, nil
			w.journal(w.db)
		}
		s = w.runAny()
		if s.ExitStatus != exit.Delivered {
			t.Errorf("%+v", s.Items)
		}
		seen = w.watch.snapshots
	})
	return seen, s
}

func (w *world) runAny() report.Summary {
	s := Run(w.Context(), w.Context(), w.Options)
	synctest.Wait()
	return s
}

// On a steady server the time left is right within 15 % once ten seconds have passed, or there is
// none. How a run goes in detail depends on which goroutine comes first, so that one in seven may
// be wrong.
func TestETA(t *testing.T) {
	for i, c := range []etaCase{
		// A rate that was given, and one that was learned.
		{name: "given", preset: "strict", params: "rps=100", sizes: files(200, 4096),
			limits: throttle.Limits{Rate: 5}},
		{name: "given, sizes that differ", preset: "slow", params: "bandwidth=100MiB",
			sizes: mixed(200, 200<<10), limits: throttle.Limits{Rate: 5}},
		{name: "learned", preset: "quota", params: "rate=5&burst=10", sizes: files(250, 4096)},
		{name: "learned after a burst", preset: "quota", params: "rate=5&burst=50",
			sizes: files(300, 4096)},
		{name: "learned by two refusals", serve: bucket(8, 3, 50*time.Millisecond, 2*time.Second),
			sizes: files(200, 4096)},
		{name: "learned by a few refusals", serve: bucket(5, 5, 50*time.Millisecond,
			2*time.Second), sizes: files(200, 4096)},
		{name: "far less than given", serve: bucket(15, 3, 50*time.Millisecond, 2*time.Second),
			sizes: files(600, 4096), limits: throttle.Limits{Rate: 40}},
		{name: "starts late",
			serve: startsLate(5*time.Second, bucket(10, 10, 50*time.Millisecond, 3*time.Second)),
			sizes: files(400, 4096), from: 20 * time.Second, grain: 3 * time.Second},
		{name: "windows", preset: "window", params: "n=50&window=10s", sizes: files(400, 4096)},
		{name: "windows of a minute", preset: "window", params: "n=100&window=60s",
			sizes: files(500, 4096)},
		{name: "given, with windows", preset: "window", params: "n=50&window=10s",
			sizes: files(400, 4096), limits: throttle.Limits{Rate: 10}, grain: 10 * time.Second,
			from: 16 * time.Second},
		// Requests at once.
		{name: "connections", preset: "conns", params: "n=4&service=500ms",
			sizes: files(300, 4096)},
		{name: "jitter", preset: "threads", params: "k=5&service=500ms&sigma=0.5",
			sizes: files(300, 4096)},
		{name: "minutes", preset: "conns", params: "n=8&service=45s", sizes: files(20, 4096),
			limits: throttle.Limits{InFlight: 4}, from: 52 * time.Second},
		// Bytes.
		{name: "one huge file", preset: "slow", params: "bandwidth=1MiB", sizes: files(1, 40<<20)},
		{name: "large files", preset: "slow", params: "bandwidth=4MiB", sizes: files(10, 20<<20)},
		{name: "files of a minute", preset: "slow", params: "bandwidth=300KiB&per-connection=true",
			sizes: files(20, 18<<20), limits: throttle.Limits{InFlight: 5}},
		{name: "sizes that differ", preset: "slow", params: "bandwidth=1MiB",
			sizes: mixed(300, 200<<10), limits: throttle.Limits{InFlight: 4}},
		{name: "large, then small", preset: "slow", params: "bandwidth=4MiB",
			sizes: append(files(3, 40<<20), files(206, 4096)...), seldom: true},
		{name: "large, then many small", preset: "conns", params: "n=8",
			sizes:  append(files(3, 40<<20), files(2000, 4<<10)...),
			limits: throttle.Limits{InFlight: 4, Bandwidth: 10 << 20}, from: 22 * time.Second},
		{name: "small, then large", preset: "slow", params: "bandwidth=4MiB",
			sizes: append(files(206, 4096), files(4, 40<<20)...)},
		{name: "small, then large, on a slow line", preset: "slow",
			params: "bandwidth=1MiB&per-connection=true", sizes: append(files(1000, 4<<10),
				files(8, 20<<20)...),
			limits: throttle.Limits{InFlight: 4}},
		// The last files, each at the pace of its connection.
		{name: "few large", preset: "slow", params: "bandwidth=4MiB&per-connection=true",
			sizes: files(7, 40<<20), limits: throttle.Limits{InFlight: 3}},
		{name: "large, then small, each on its own", preset: "slow",
			params: "bandwidth=1536KiB&per-connection=true", sizes: append(files(6, 40<<20),
				files(60, 2<<10)...),
			limits: throttle.Limits{InFlight: 5}},
		{name: "large, then small, with a delay", serve: sharing(6e6, 50*time.Millisecond),
			sizes: append(files(3, 30<<20), files(206, 2)...), seldom: true},
		{name: "large, then small, with a delay, three at once",
			serve: sharing(6e6, 50*time.Millisecond), sizes: append(files(3, 30<<20),
				files(206, 2)...),
			limits: throttle.Limits{InFlight: 3}, seldom: true},
		{name: "large, then small, with a delay, four at once",
			serve: sharing(6e6, 50*time.Millisecond), sizes: append(files(3, 30<<20),
				files(206, 2)...),
			limits: throttle.Limits{InFlight: 4}},
		{name: "large, then many small, with a delay, three at once",
			serve: sharing(6e6, 50*time.Millisecond), sizes: append(files(3, 30<<20),
				files(800, 2)...),
			limits: throttle.Limits{InFlight: 3}, from: 16 * time.Second},
		{name: "large, then many small, with a delay, two at once",
			serve: sharing(6e6, 50*time.Millisecond), sizes: append(files(2, 60<<20),
				files(500, 2)...),
			limits: throttle.Limits{InFlight: 2}, from: 21500 * time.Millisecond},
		{name: "large, beside many small, with a delay, each on its own",
			serve: apart(2e6, 50*time.Millisecond), sizes: append(files(3, 40<<20),
				files(1000, 2)...),
			limits: throttle.Limits{InFlight: 5}},
		{name: "large, then small, with a delay, given", serve: sharing(6e6, 50*time.Millisecond),
			sizes: append(files(3, 30<<20), files(206, 2)...), limits: throttle.Limits{Rate: 8}},
		{name: "large, then small, with a delay, given, three at once",
			serve: sharing(6e6, 50*time.Millisecond), sizes: append(files(3, 30<<20),
				files(206, 2)...),
			limits: throttle.Limits{Rate: 8, InFlight: 3}},
		{name: "large, then medium, with a delay", serve: sharing(6e6, 50*time.Millisecond),
			sizes:  append(files(3, 30<<20), files(200, 500<<10)...),
			limits: throttle.Limits{InFlight: 3}, from: 17 * time.Second},
		{name: "large, then many small, with a delay, any number at once",
			serve: sharing(6e6, 50*time.Millisecond), sizes: append(files(3, 30<<20),
				files(2000, 2)...), seldom: true},
		{name: "large and small by turns, with a delay", serve: sharing(6e6, 50*time.Millisecond),
			sizes:  turns(8, append(files(1, 20<<20), files(60, 2)...)),
			limits: throttle.Limits{InFlight: 3}},
		{name: "large among small, with a delay", serve: sharing(6e6, 50*time.Millisecond),
			sizes:  slices.Concat(files(150, 2), files(3, 30<<20), files(250, 2)),
			limits: throttle.Limits{InFlight: 3}},
		{name: "large, then few small, with a delay", serve: sharing(6e6, 50*time.Millisecond),
			sizes:  append(files(6, 30<<20), files(60, 2)...),
			limits: throttle.Limits{InFlight: 3}, seldom: true},
		{name: "large, then small, with a delay, each on its own",
			serve: apart(2e6, 50*time.Millisecond), sizes: append(files(3, 40<<20),
				files(800, 2)...),
			limits: throttle.Limits{InFlight: 3}, from: 21500 * time.Millisecond},
		{name: "large, then small, with a long delay", serve: sharing(6e6, 200*time.Millisecond),
			sizes:  append(files(3, 30<<20), files(206, 4<<10)...),
			limits: throttle.Limits{InFlight: 3}, from: 17 * time.Second},
		{name: "answers that take long", sizes: files(60, 4096), serve: taking(8 * time.Second),
			grain: 8 * time.Second, seldom: true},
		{name: "given, answers that take long", sizes: files(60, 4096),
			serve: taking(8 * time.Second), limits: throttle.Limits{InFlight: 5},
			from: 16 * time.Second, grain: 8 * time.Second},
		// Not from the beginning.
		{name: "resumed", preset: "conns", params: "n=4&service=500ms", sizes: files(400, 4096),
			first: 15 * time.Second},
		{name: "resumed, learned", preset: "quota", params: "rate=5&burst=10",
			sizes: files(400, 4096), first: 20 * time.Second},
		{name: "slower once", sizes: files(1500, 4096), serve: slower(),
			limits: throttle.Limits{InFlight: 4}, from: 60 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			race.Few(t, i)
			t.Parallel()
			seen, _ := c.run(t)
			end := seen[len(seen)-1].Elapsed
			if last := seen[len(seen)-1]; last.Bytes != last.TotalBytes ||
				last.Bytes-last.SkippedBytes != last.DeliveredBytes {
				t.Errorf("%d of %d bytes at the end, of which %d delivered and %d skipped",
					last.Bytes, last.TotalBytes, last.DeliveredBytes, last.SkippedBytes)
			}
			from, grain := max(c.from, 10*time.Second), max(c.grain, 2*time.Second)
			var all, shown, wrong int
			var examples []string
			for _, s := range seen {
				left := end - s.Elapsed
				if s.Elapsed < from || left <= 2*grain {
					continue
				}
				all++
				if s.ETA == 0 {
					continue
				}
				shown++
				if off := (s.ETA - left).Abs(); off > max(left*15/100, grain) {
					if wrong++; wrong <= 5 {
						examples = append(examples,
							fmt.Sprintf("after %v: %v left, shown %v; %d of %d", s.Elapsed, left,
								s.ETA, s.Delivered, s.Total))
					}
				}
			}
			if wrong > all/7 || all == 0 {
				t.Errorf("%d of %d are wrong, as\n%s", wrong, all, strings.Join(examples, "\n"))
			}
			if shown < all*95/100 && !c.seldom {
				t.Errorf("shown %d times of %d", shown, all)
			}
		})
	}
}

// The time left agrees with the pace that is in force and shown below it.
func TestETAOfPace(t *testing.T) {
	// pauses that it took to find the pace count as some that may come again for a while
	const steady = 10 * time.Second
	for _, c := range []etaCase{
		{name: "too much", serve: bucket(15, 3, 50*time.Millisecond, 2*time.Second),
			sizes: files(600, 4096), limits: throttle.Limits{Rate: 40}},
		{name: "three times too much", serve: bucket(30, 30, 50*time.Millisecond, 4*time.Second),
			sizes: files(1500, 4096), limits: throttle.Limits{Rate: 100}},
		{name: "learned", serve: bucket(10, 10, 50*time.Millisecond, 3*time.Second),
			sizes: files(400, 4096)},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			seen, _ := c.run(t)
			var since time.Duration
			pace, compared := 0.0, 0
			for _, s := range seen {
				if s.Pause > 0 || s.Limit != progress.LimitRate ||
					math.Abs(s.Ceiling-pace) > 0.05*pace {
					pace, since = s.Ceiling, s.Elapsed
				}
				if s.ETA == 0 || s.Elapsed-since < steady || s.Elapsed < 10*time.Second {
					continue
				}
				compared++
				left := float64(s.Total-s.Delivered) / s.Ceiling
				if off := math.Abs(s.ETA.Seconds() - left); off > max(5, 0.25*left) {
					t.Fatalf("after %v: %.1f s left at %.2f req/s, shown %v; %d of %d", s.Elapsed,
						left, s.Ceiling, s.ETA, s.Delivered, s.Total)
				}
			}
			if compared < 100 {
				t.Errorf("compared %d times only", compared)
			}
		})
	}
}

// A bucket that asks for a wait much longer than it needs is found in two pauses, also where the
// given rate is far too high.
func TestPaceOfFixedRetryAfter(t *testing.T) {
	for _, c := range []struct {
		etaCase
		most time.Duration
	}{
		{etaCase{name: "given", serve: bucket(15, 3, 50*time.Millisecond, 2*time.Second),
			sizes: files(600, 4096), limits: throttle.Limits{Rate: 40}}, 53 * time.Second},
		{etaCase{name: "learned", serve: bucket(10, 10, 50*time.Millisecond, 3*time.Second),
			sizes: files(400, 4096)}, 51 * time.Second},
		{etaCase{name: "learned, a small burst",
			serve: bucket(8, 3, 50*time.Millisecond, 2*time.Second), sizes: files(400,
				4096)}, 63 * time.Second},
		{etaCase{name: "starts late", serve: startsLate(5*time.Second,
			bucket(10, 10, 50*time.Millisecond,
				3*time.Second)), sizes: files(400, 4096)}, 62 * time.Second},
		{etaCase{name: "starts late, slow", serve: startsLate(5*time.Second,
			bucket(5, 5, 50*time.Millisecond,
				2*time.Second)), sizes: files(200, 4096)}, 62 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			seen, s := c.run(t)
			took := seen[len(seen)-1].Elapsed
			t.Logf("%v, %+v", took, s.Requests)
			if q := s.Requests; took > c.most || q.Throttled > q.Sent/20 {
				t.Errorf("took %v, %d of %d refused; want at most %v and a twentieth", took,
					q.Throttled, q.Sent, c.most)
			}
		})
	}
}

// startsLate answers 503 at first.
func startsLate(d time.Duration, next http.HandlerFunc) http.HandlerFunc {
	var begin time.Time
	var once sync.Once
	return func(w http.ResponseWriter, r *http.Request) {
		once.Do(func() { begin = time.Now() })
		if time.Since(begin) < d {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		next(w, r)
	}
}

// hinder keeps what is put into the journal from being on disk for a quarter of a second, again and
// again.
func hinder(j *journal.Journal, stop, stopped chan struct{}) {
	defer close(stopped)
	for {
		select {
		case <-stop:
			return
		case <-time.After(300 * time.Millisecond):
			j.Put(journal.Item{Method: "PUT", Path: "hinder"},
				func(error) { time.Sleep(250 * time.Millisecond) })
		}
	}
}

// mixed are sizes up to most.
func mixed(n int, most int64) []int64 {
	r := rand.New(rand.NewPCG(1, 2))
	all := make([]int64, n)
	for i := range all {
		all[i] = r.Int64N(most)
	}
	return all
}

// slower takes three times as long from 20 s on.
func slower() http.HandlerFunc {
	var begin time.Time
	var once sync.Once
	return func(w http.ResponseWriter, r *http.Request) {
		once.Do(func() { begin = time.Now() })
		d := 100 * time.Millisecond
		if time.Since(begin) > 20*time.Second {
			d *= 3
		}
		accept(w, r, d)
	}
}

// apart takes so many bytes a second on each connection, and that long with each answer.
func apart(bandwidth float64, delay time.Duration) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		sharing(bandwidth, delay)(w, r)
	}
}

// sharing reads all bodies at so many bytes a second together, and answers that long after each.
func sharing(bandwidth float64, delay time.Duration) http.HandlerFunc {
	var mu sync.Mutex
	var next time.Time
	return func(w http.ResponseWriter, r *http.Request) {
		b := make([]byte, 64<<10)
		for {
			n, err := r.Body.Read(b)
			mu.Lock()
			if now := time.Now(); next.Before(now) {
				next = now
			}
			next = next.Add(time.Duration(float64(n) / bandwidth * float64(time.Second)))
			until := next
			mu.Unlock()
			time.Sleep(time.Until(until))
			if err == io.EOF {
				break
			}
			if err != nil {
				panic(http.ErrAbortHandler)
			}
		}
		time.Sleep(delay)
		w.WriteHeader(http.StatusCreated)
	}
}

// bucket takes so many requests a second, and asks those beyond them to wait.
func bucket(rate, burst float64, delay, wait time.Duration) http.HandlerFunc {
	var mu sync.Mutex
	tokens, last := burst, time.Time{}
	return func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		mu.Lock()
		now := time.Now()
		if !last.IsZero() {
			tokens = min(burst, tokens+now.Sub(last).Seconds()*rate)
		}
		last = now
		ok := tokens >= 1
		if ok {
			tokens--
		}
		mu.Unlock()
		time.Sleep(delay)
		if !ok {
			w.Header().Set("Retry-After", strconv.Itoa(int(wait.Seconds())))
			w.WriteHeader(http.StatusTooManyRequests)
			return
		}
		w.WriteHeader(http.StatusCreated)
	}
}

// The bytes of a file count as they arrive, and not once more when it ends.
func TestRateOfBytes(t *testing.T) {
	const bandwidth = 5 << 20
	for _, c := range []etaCase{
		{name: "equal files", sizes: files(5, 20<<20), serve: sharing(bandwidth, 0)},
		{name: "with a journal", sizes: files(5, 20<<20), serve: sharing(bandwidth, 0),
			journal: true},
		{name: "one at a time", sizes: files(8, 10<<20), serve: sharing(bandwidth, 0),
			journal: true},
		{name: "files that are followed, and others",
			sizes: append(files(4, 20<<20), files(60, 500<<10)...), serve: sharing(bandwidth,
				0), journal: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			seen, _ := c.run(t)
			end := seen[len(seen)-1].Elapsed
			for _, s := range seen {
				if s.Elapsed < 3*time.Second || s.Elapsed > end-time.Second {
					continue
				}
				if off := math.Abs(s.BytesPerSecond/bandwidth - 1); off > 0.2 {
					t.Fatalf("after %v: %.1f MiB/s, the server reads 5.0; %d of %d files",
						s.Elapsed, s.BytesPerSecond/(1<<20), s.Delivered, s.Total)
				}
			}
		})
	}
}

// A large file that the server refused after its last byte begins anew, and the progress says so.
// While it waits nothing of it is under way.
func TestSaysWhyBytesFallBack(t *testing.T) {
	refuse := true
	c := etaCase{sizes: files(1, 4<<20), serve: func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		time.Sleep(time.Second)
		if refuse {
			refuse = false
			w.Header().Set("Retry-After", "3")
			w.WriteHeader(http.StatusTooManyRequests)
		}
	}}
	seen, _ := c.run(t)
	said := false
	for _, s := range seen {
		if s.Elapsed > 1500*time.Millisecond && s.Elapsed < 3500*time.Millisecond && s.Bytes != 0 {
			t.Errorf("after %v, in the pause: %d bytes are under way", s.Elapsed, s.Bytes)
		}
		if strings.Contains(s.Holding, "00000 is sent again from its beginning (429)") {
			said = true
			if s.Elapsed < time.Second || s.Elapsed > 12*time.Second {
				t.Errorf("after %v: %q", s.Elapsed, s.Holding)
			}
		}
	}
	if !said {
		t.Error("it does not say why bytes fall back")
	}
}
