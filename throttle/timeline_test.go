package throttle

import (
	"bytes"
	"cmp"
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock/penstock/internal/seconds"
	"golang.org/x/time/rate"
)

var update = flag.Bool("update", false, "rewrite the timelines in testdata")

// TestBucketTimelines runs the scripts in testdata/bucket on fake time. A script
// is a line for each event, a line of dashes, and a line for each thing that
// came of it, all with their instants. Events are
//
//	bucket RATE [BURST]           the bucket itself, first
//	wait NAME [N] [within D]      a WaitN, with a deadline that long after
//	wait NAME*COUNT               that many of them, NAME1 to NAMECOUNT
//	cancel NAME, cancel NAME*     end the contexts of waiters
//	allow [N]                     an AllowN
//	rate R, burst N, catchup C, pause D, resume, stop
//
// where a rate is a number or "inf", and a pause is until D after the start.
func TestBucketTimelines(t *testing.T) {
	files, err := filepath.Glob("testdata/bucket/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no timelines in testdata/bucket", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			script, _, ok := strings.Cut(string(data), "----\n")
			if !ok {
				t.Fatal("no line of dashes")
			}
			var got string
			synctest.Test(t, func(t *testing.T) { got = runTimeline(t, script) })
			got = script + "----\n" + got
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o666); err != nil {
					t.Fatal(err)
				}
			} else if got != string(data) {
				t.Errorf("want\n%s\ngot\n%s", data, got)
			}
		})
	}
}

// A timeline is one run of a script.
type timeline struct {
	t     *testing.T
	begin time.Time
	b     *Bucket
	group sync.WaitGroup

	mu      sync.Mutex
	cancels map[string]context.CancelCauseFunc
	came    int
	results []result
}

type result struct {
	at   time.Duration
	came int // the order of arrival orders what happens at one instant
	name string
	what string // empty: granted
}

func runTimeline(t *testing.T, script string) string {
	l := &timeline{t: t, begin: time.Now(), cancels: make(map[string]context.CancelCauseFunc)}
	for line := range strings.Lines(script) {
		line, _, _ = strings.Cut(line, "#")
		f := strings.Fields(line)
		if len(f) == 0 {
			continue
		}
		at, err := time.ParseDuration(f[0])
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Until(l.begin.Add(at)))
		synctest.Wait()
		l.event(f[1], f[2:])
		synctest.Wait()
	}
	// A waiter that still waits after a day never goes.
	end := time.AfterFunc(24*time.Hour, func() { l.cancel("*", errNever) })
	l.group.Wait()
	end.Stop()
	return l.String()
}

var (
	errNever     = fmt.Errorf("never")
	errCancelled = fmt.Errorf("cancelled")
	errStopped   = fmt.Errorf("stopped")
)

func (l *timeline) event(verb string, args []string) {
	arg := func(i int) string {
		if i < len(args) {
			return args[i]
		}
		return "1"
	}
	number := func(i int) int {
		n, err := strconv.Atoi(arg(i))
		if err != nil {
			l.t.Fatal(err)
		}
		return n
	}
	float := func(i int) float64 {
		if arg(i) == "inf" {
			return float64(rate.Inf)
		}
		f, err := strconv.ParseFloat(arg(i), 64)
		if err != nil {
			l.t.Fatal(err)
		}
		return f
	}
	duration := func(i int) time.Duration {
		d, err := time.ParseDuration(arg(i))
		if err != nil {
			l.t.Fatal(err)
		}
		return d
	}
	switch verb {
	case "bucket":
		l.b = NewBucket(rate.Limit(float(0)), number(1))
	case "wait":
		n, within := 1, time.Duration(0)
		for i := 1; i < len(args); i++ {
			if args[i] == "within" {
				within = duration(i + 1)
				break
			}
			n = number(i)
		}
		name, count, many := strings.Cut(args[0], "*")
		if !many {
			l.wait(name, n, within)
			break
		}
		times, err := strconv.Atoi(count)
		if err != nil {
			l.t.Fatal(err)
		}
		for i := range times {
			l.wait(name+strconv.Itoa(i+1), n, within)
		}
	case "cancel":
		l.cancel(args[0], errCancelled)
	case "allow":
		l.came++
		l.record("allow", l.came, fmt.Sprint(l.b.AllowN(number(0))))
	case "rate":
		l.b.SetRate(rate.Limit(float(0)))
	case "burst":
		l.b.SetBurst(number(0))
	case "catchup":
		l.b.line.mu.catchUp = seconds.Duration(float(0))
	case "pause":
		l.b.Pause(l.begin.Add(duration(0)))
	case "resume":
		l.b.Resume()
	case "stop":
		l.b.line.stop(errStopped)
	default:
		l.t.Fatalf("unknown event %q", verb)
	}
}

func (l *timeline) wait(name string, n int, within time.Duration) {
	ctx, cancel := context.WithCancelCause(context.Background())
	inner, end := ctx, context.CancelFunc(func() {})
	if within > 0 {
		inner, end = context.WithTimeout(ctx, within)
	}
	l.mu.Lock()
	l.came++
	came := l.came
	l.cancels[name] = cancel
	l.mu.Unlock()
	l.group.Go(func() {
		err := l.b.WaitN(inner, n)
		end()
		cancel(nil)
		what := ""
		if err != nil {
			what = err.Error()
		}
		l.record(name, came, what)
	})
	synctest.Wait() // it is in line before the next one comes
}

// cancel ends those of that name, or whose name begins so.
func (l *timeline) cancel(name string, cause error) {
	prefix, many := strings.CutSuffix(name, "*")
	l.mu.Lock()
	defer l.mu.Unlock()
	for n, cancel := range l.cancels {
		if n == name || many && strings.HasPrefix(n, prefix) {
			cancel(cause)
		}
	}
}

func (l *timeline) record(name string, came int, what string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.results = append(l.results, result{time.Since(l.begin), came, name, what})
	delete(l.cancels, name)
}

// String returns what happened, a line each. Four and more alike that are evenly
// spaced make one line.
func (l *timeline) String() string {
	slices.SortFunc(l.results, func(a, b result) int {
		return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.came, b.came))
	})
	var out bytes.Buffer
	line := func(at, name, what string) {
		if what != "" {
			what = ": " + what
		}
		fmt.Fprintf(&out, "%-20s %s%s\n", at, name, what)
	}
	for rest := l.results; len(rest) > 0; {
		first, n := rest[0], 1
		var gap time.Duration
		if len(rest) > 1 {
			gap = rest[1].at - first.at
		}
		for n < len(rest) && rest[n].what == first.what && stem(rest[n].name) == stem(first.name) &&
			rest[n].came == first.came+n && rest[n].at-rest[n-1].at == gap {
			n++
		}
		if n < 4 {
			line(first.at.String(), first.name, first.what)
			rest = rest[1:]
			continue
		}
		last := rest[n-1]
		spaced := fmt.Sprintf("%s … %s, %v apart", first.name, last.name, gap)
		line(first.at.String()+" … "+last.at.String(), spaced, first.what)
		rest = rest[n:]
	}
	return out.String()
}

func stem(name string) string { return strings.TrimRight(name, "0123456789") }
