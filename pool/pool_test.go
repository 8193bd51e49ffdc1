package pool_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"github.com/google/go-cmp/cmp"

	"github.com/penstock/penstock/pool"
)

var errBoom = errors.New("boom")

// sleep is a task that takes as long as it says and obeys its context.
func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func mustSubmit[T any](t *testing.T, p *pool.Pool[T], tasks ...T) {
	t.Helper()
	for _, task := range tasks {
		if err := p.Submit(t.Context(), task); err != nil {
			t.Fatalf("Submit(%v): %v", task, err)
		}
	}
}

func mustDrain[T any](t *testing.T, p *pool.Pool[T]) {
	t.Helper()
	if err := p.Drain(context.Background()); err != nil {
		t.Fatalf("Drain: %v", err)
	}
}

func wantStats[T any](t *testing.T, p *pool.Pool[T], want pool.Stats) {
	t.Helper()
	synctest.Wait()
	if diff := cmp.Diff(want, p.Stats()); diff != "" {
		t.Errorf("stats (-want +got):\n%s", diff)
	}
}

// failures collects what a pool hands to OnError.
type failures[T comparable] struct {
	mu  sync.Mutex
	err map[T][]error
}

func (f *failures[T]) add(task T, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err == nil {
		f.err = make(map[T][]error)
	}
	f.err[task] = append(f.err[task], err)
}

func TestSubmitBlocksUntilThereIsRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := pool.New(2, sleep)
		start := time.Now()
		for i, want := range []time.Duration{0, 0, 0, 0, 1, 1, 2, 2} {
			mustSubmit(t, p, time.Second)
			synctest.Wait() // workers take from the queue in their own time
			if got := time.Since(start); got != want*time.Second {
				t.Errorf("task %d was accepted after %v, want %v", i, got, want*time.Second)
			}
		}
		wantStats(t, p, pool.Stats{Workers: 2, Busy: 2, Queued: 2, Done: 4})
		mustDrain(t, p)
		if got := time.Since(start); got != 4*time.Second {
			t.Errorf("drained after %v, want 4s", got)
		}
	})
}

func TestQueueIsNeverLongerThan64(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := pool.New(100, sleep)
		go func() {
			for range 200 {
				mustSubmit(t, p, time.Second)
			}
		}()
		wantStats(t, p, pool.Stats{Workers: 100, Busy: 100, Queued: 64, Waiting: 1})
		time.Sleep(time.Second)
		wantStats(t, p, pool.Stats{Workers: 100, Busy: 100, Done: 100})
		mustDrain(t, p)
	})
}

func TestSubmitGivesUpWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := pool.New(1, sleep)
		mustSubmit(t, p, time.Minute)
		synctest.Wait()
		mustSubmit(t, p, time.Minute)

		start := time.Now()
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, errBoom)
		defer cancel()
		err := p.Submit(ctx, time.Hour)
		if !errors.Is(err, errBoom) || !strings.HasPrefix(err.Error(), "pool: ") {
			t.Errorf("Submit: %v, want the context's cause", err)
		}
		if got := time.Since(start); got != time.Second {
			t.Errorf("gave up after %v, want 1s", got)
		}
		wantStats(t, p, pool.Stats{Workers: 1, Busy: 1, Queued: 1})
		mustDrain(t, p)
		if got := time.Since(start); got != 2*time.Minute {
			t.Errorf("drained after %v, want 2m: the task given up must not run", got)
		}
	})
}

// A loop that submits must notice that its context has ended even when the pool is never busy.
func TestSubmitWithEndedContextIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := pool.New(1, sleep)
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(errBoom)
		if err := p.Submit(ctx, 0); !errors.Is(err, errBoom) {
			t.Errorf("Submit: %v, want %v", err, errBoom)
		}
		mustDrain(t, p)
		wantStats(t, p, pool.Stats{})
	})
}

func TestSubmittersAreServedInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var order []int
		p := pool.New(1, func(ctx context.Context, n int) error {
			order = append(order, n) // one worker: no race
			time.Sleep(time.Second)
			return nil
		})
		ctx, cancel := context.WithCancel(t.Context())
		var want []int
		for n := range 20 {
			ctx := ctx
			if n < 2 || n%3 != 0 {
				ctx = t.Context()
				want = append(want, n)
			}
			go func() {
				if err := p.Submit(ctx, n); err != nil && !errors.Is(err, context.Canceled) {
					t.Errorf("Submit(%d): %v", n, err)
				}
			}()
			synctest.Wait()
		}
		cancel() // those in the middle of the line, and at its end, leave
		synctest.Wait()
		for p.Stats().Waiting > 0 {
			time.Sleep(time.Second)
		}
		mustDrain(t, p)
		if !slices.Equal(order, want) {
			t.Errorf("order %v, want %v", order, want)
		}
	})
}

func TestTasksRunAtOnceUpToTheWorkers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := pool.New(300, sleep)
		start := time.Now()
		for range 300 {
			mustSubmit(t, p, time.Second)
		}
		wantStats(t, p, pool.Stats{Workers: 300, Busy: 300})
		mustDrain(t, p)
		if got := time.Since(start); got != time.Second {
			t.Errorf("took %v, want 1s", got)
		}
	})
}

func TestWorkersBelowOne(t *testing.T) {
	for _, n := range []int{0, -1, math.MinInt} {
		synctest.Test(t, func(t *testing.T) {
			p := pool.New(n, sleep)
			mustSubmit(t, p, time.Second)
			wantStats(t, p, pool.Stats{Workers: 1, Busy: 1})
			p.Resize(3)
			p.Resize(n)
			wantStats(t, p, pool.Stats{Workers: 1, Busy: 1})
			mustDrain(t, p)
		})
	}
}

func TestNoFunction(t *testing.T) {
	for name, p := range map[string]*pool.Pool[int]{
		"nil do": pool.New[int](3, nil), "zero value": {},
	} {
		t.Run(name, func(t *testing.T) {
			p.Resize(5)
			if err := p.Submit(t.Context(), 1); err == nil ||
				!strings.Contains(err.Error(), "no function") {
				t.Errorf("Submit: %v, want an error that names the reason", err)
			}
			if err := p.Wait(t.Context()); err != nil {
				t.Errorf("Wait: %v", err)
			}
			mustDrain(t, p)
			mustDrain(t, p)
			if got := p.Stats(); got != (pool.Stats{}) {
				t.Errorf("Stats: %+v, want all zero", got)
			}
		})
	}
}

func TestWaitLeavesThePoolOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := pool.New(2, sleep)
		start := time.Now()
		if err := p.Wait(t.Context()); err != nil {
			t.Errorf("Wait on an idle pool: %v", err)
		}
		mustSubmit(t, p, 3*time.Second, time.Second, time.Second)
		if err := p.Wait(t.Context()); err != nil {
			t.Errorf("Wait: %v", err)
		}
		if got := time.Since(start); got != 3*time.Second {
			t.Errorf("waited %v, want 3s", got)
		}
		mustSubmit(t, p, time.Second)
		mustDrain(t, p)
	})
}

func TestWaitIsNotProlongedByLaterTasks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := pool.New(2, sleep)
		mustSubmit(t, p, 5*time.Second, 2*time.Second, 2*time.Second)
		go func() {
			for range 10 {
				mustSubmit(t, p, 4*time.Second)
			}
		}()
		synctest.Wait() // one of them has taken the last place in the queue
		start := time.Now()
		if err := p.Wait(t.Context()); err != nil {
			t.Errorf("Wait: %v", err)
		}
		// 0-5 the first, 0-2 and 2-4 the next two, 4-8 the one in the queue.
		if got := time.Since(start); got != 8*time.Second {
			t.Errorf("waited %v, want 8s", got)
		}
		synctest.Wait()
		if s := p.Stats(); s.Busy != 2 {
			t.Errorf("%d tasks run when Wait returns, want 2: the pool goes on", s.Busy)
		}
		time.Sleep(time.Minute) // all submitters are done
		mustDrain(t, p)
	})
}

func TestWaitGivesUpWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := pool.New(1, sleep)
		mustSubmit(t, p, time.Minute, time.Minute)
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, errBoom)
		defer cancel()
		err := p.Wait(ctx)
		if !errors.Is(err, errBoom) || !strings.Contains(err.Error(), "2 tasks") {
			t.Errorf("Wait: %v, want the cause and the number of tasks", err)
		}
		mustDrain(t, p)
	})
}

// When the tasks and the context end together either answer is right, but not one that says 0 tasks
// are left.
func TestWaitAtTheLastInstant(t *testing.T) {
	p := pool.New(1, func(_ context.Context, cancel context.CancelFunc) error {
		cancel()
		return nil
	})
	for range 1000 {
		ctx, cancel := context.WithCancel(t.Context())
		mustSubmit(t, p, cancel)
		if err := p.Wait(ctx); err != nil &&
			!strings.Contains(err.Error(), "with 1 tasks not ended") {
			t.Fatal(err)
		}
	}
	mustDrain(t, p)
}

func TestDrainWaitsForAllThatWasAccepted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := pool.New(2, sleep)
		start := time.Now()
		mustSubmit(t, p, 3*time.Second, time.Second, time.Second, 4*time.Second)
		blocked := make(chan error)
		go func() { blocked <- p.Submit(t.Context(), time.Hour) }()
		synctest.Wait()
		drained := make(chan error)
		go func() { drained <- p.Drain(t.Context()) }()
		if err := <-blocked; err != pool.ErrDraining {
			t.Errorf("the blocked Submit: %v, want ErrDraining", err)
		}
		if err := p.Submit(t.Context(), time.Hour); err != pool.ErrDraining {
			t.Errorf("a later Submit: %v, want ErrDraining", err)
		}
		if got := time.Since(start); got != 0 {
			t.Errorf("submitters were refused after %v, want at once", got)
		}
		if err := <-drained; err != nil {
			t.Errorf("Drain: %v", err)
		}
		if got := time.Since(start); got != 6*time.Second {
			t.Errorf("drained after %v, want 6s", got)
		}
		mustDrain(t, p)
		if err := p.Submit(t.Context(), time.Hour); err != pool.ErrDraining {
			t.Errorf("Submit after Drain: %v, want ErrDraining", err)
		}
		p.Resize(9)
		wantStats(t, p, pool.Stats{Done: 4})
	})
}

func TestDrainWithDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var failed failures[time.Duration]
		p := pool.New(1, sleep)
		p.OnError = failed.add
		mustSubmit(t, p, time.Second, time.Hour, 2*time.Hour)
		start := time.Now()
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Minute, errBoom)
		defer cancel()
		err := p.Drain(ctx)
		if got := time.Since(start); got != time.Minute {
			t.Errorf("drained after %v, want 1m", got)
		}
		got, ok := errors.AsType[*pool.Error](err)
		if !ok || got.Accepted != 3 || got.Failed != 1 || got.NotStarted != 1 ||
			got.First != errBoom || got.Cause != errBoom {
			t.Errorf("Drain: %#v", err)
		}
		if want := "pool: 1 of 3 tasks failed, the first: boom; 1 of 3 tasks never started"; err.Error() != want {
			t.Errorf("Drain: %q, want %q", err, want)
		}
		if errs := failed.err[time.Hour]; len(errs) != 1 || errs[0] != errBoom {
			t.Errorf("the task in progress: %v, want its own error", errs)
		}
		if errs := failed.err[2*time.Hour]; len(errs) != 1 ||
			!errors.Is(errs[0], pool.ErrNotStarted) || !errors.Is(errs[0], errBoom) {
			t.Errorf("the queued task: %v, want ErrNotStarted and the cause", errs)
		}
		if len(failed.err) != 2 {
			t.Errorf("%d tasks failed, want 2", len(failed.err))
		}
		wantStats(t, p, pool.Stats{Done: 2, Failed: 1, NotStarted: 1})
	})
}

// Tasks that are queued when the pool is discarded never start; those that run, run on.
func TestDiscard(t *testing.T) {
	for name, cause := range map[string]error{"boom": errBoom, "discarded": nil} {
		synctest.Test(t, func(t *testing.T) {
			var failed failures[time.Duration]
			p := pool.New(2, sleep)
			p.OnError = failed.add
			start := time.Now()
			mustSubmit(t, p, time.Minute, 2*time.Minute, 3*time.Minute, 4*time.Minute)
			blocked := make(chan error)
			go func() { blocked <- p.Submit(t.Context(), time.Hour) }()
			synctest.Wait()
			p.Discard(cause)
			p.Discard(errors.New("later"))
			if err := <-blocked; err != pool.ErrDraining {
				t.Errorf("the blocked Submit: %v, want ErrDraining", err)
			}
			if err := p.Submit(t.Context(), time.Hour); err != pool.ErrDraining {
				t.Errorf("a later Submit: %v, want ErrDraining", err)
			}
			err := p.Drain(t.Context())
			if got := time.Since(start); got != 2*time.Minute {
				t.Errorf("drained after %v, want 2m", got)
			}
			if want := "pool: 2 of 4 tasks never started: " + name; err == nil ||
				err.Error() != want {
				t.Errorf("Drain: %v, want %s", err, want)
			}
			for _, task := range []time.Duration{3 * time.Minute, 4 * time.Minute} {
				if errs := failed.err[task]; len(errs) != 1 ||
					!errors.Is(errs[0], pool.ErrNotStarted) || cause != nil &&
					!errors.Is(errs[0], cause) {
					t.Errorf("%v: %v, want ErrNotStarted and the cause", task, errs)
				}
			}
			wantStats(t, p, pool.Stats{Done: 2, NotStarted: 2})
		})
	}
	synctest.Test(t, func(t *testing.T) {
		p := pool.New(2, sleep) // with nothing queued there is no failure
		mustSubmit(t, p, time.Minute)
		synctest.Wait()
		p.Discard(errBoom)
		mustDrain(t, p)
		new(pool.Pool[int]).Discard(errBoom)
	})
}

// An error names the cause that took effect first, and none that had none.
func TestCauseOfTheFirst(t *testing.T) {
	later := errors.New("later")
	ended, cancel := context.WithCancelCause(context.Background())
	cancel(later)
	synctest.Test(t, func(t *testing.T) {
		p := pool.New(1, sleep)
		mustSubmit(t, p, time.Minute, 2*time.Minute)
		synctest.Wait()
		p.Discard(errBoom)
		var e *pool.Error
		if err := p.Drain(ended); !errors.As(err, &e) || e.Cause != errBoom || e.First != later {
			t.Errorf("one queued and one running: %#v", err)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		p := pool.New(1, func(context.Context, int) error { time.Sleep(time.Minute); return later })
		mustSubmit(t, p, 1)
		synctest.Wait()
		p.Discard(errBoom)
		var e *pool.Error
		if err := p.Drain(t.Context()); !errors.As(err, &e) || e.Cause != nil || e.First != later {
			t.Errorf("none queued, and one that fails: %#v", err)
		}
	})
}

// A task that does not listen is waited for: after Drain nothing runs.
func TestDrainWaitsForTasksThatIgnoreTheirContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := pool.New(2, func(ctx context.Context, d time.Duration) error {
			time.Sleep(d)
			return nil
		})
		mustSubmit(t, p, time.Minute, time.Hour)
		synctest.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		start := time.Now()
		if err := p.Drain(ctx); err != nil {
			t.Errorf("Drain: %v, want nil: both tasks ended well", err)
		}
		if got := time.Since(start); got != time.Hour {
			t.Errorf("drained after %v, want 1h", got)
		}
	})
}

// The second Ctrl-C: another call of Drain cuts short the first, and both say the same.
func TestDrainTwiceAtTheSameTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := pool.New(1, sleep)
		mustSubmit(t, p, time.Hour, time.Hour)
		synctest.Wait()
		start := time.Now()
		first := make(chan error)
		go func() { first <- p.Drain(context.Background()) }()
		time.Sleep(time.Second)
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(errBoom)
		second := p.Drain(ctx)
		if got := time.Since(start); got != time.Second {
			t.Errorf("drained after %v, want 1s", got)
		}
		const want = "pool: 1 of 2 tasks failed, the first: boom; 1 of 2 tasks never started"
		for i, err := range []error{<-first, second, p.Drain(context.Background())} {
			if err == nil || err.Error() != want {
				t.Errorf("call %d: %v, want %s", i+1, err, want)
			}
		}
	})
}

// A Drain whose context ends when nothing is left to cut short does not blame the context.
func TestDrainOfAnIdlePoolWithEndedContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := pool.New(4, func(context.Context, int) error { return errBoom })
		mustSubmit(t, p, 1)
		synctest.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		err := p.Drain(ctx)
		if got, ok := errors.AsType[*pool.Error](err); !ok || got.Cause != nil || got.Failed != 1 {
			t.Errorf("Drain: %#v, want one failure and no cause", err)
		}
	})
}

// A million failures leave one error behind.
func TestDrainKeepsTheFirstError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := pool.New(1, func(_ context.Context, n int) error {
			if n == 0 {
				return nil
			}
			return fmt.Errorf("task %d", n)
		})
		for n := range 1000 {
			mustSubmit(t, p, n)
		}
		err := p.Drain(t.Context())
		if want := "pool: 999 of 1000 tasks failed, the first: task 1"; err == nil ||
			err.Error() != want {
			t.Errorf("Drain: %v, want %s", err, want)
		}
	})
}

// While draining, more workers get the queue done sooner.
func TestResizeWhileDraining(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := pool.New(2, sleep)
		mustSubmit(t, p, time.Second, time.Second, time.Second, time.Second)
		synctest.Wait()
		start := time.Now()
		time.AfterFunc(time.Millisecond, func() { p.Resize(4) })
		mustDrain(t, p)
		if got := time.Since(start); got != time.Second+time.Millisecond {
			t.Errorf("drained after %v, want 1.001s", got)
		}
	})
}

func TestResizeUnderLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := pool.New(1, sleep)
		go func() {
			for range 24 {
				mustSubmit(t, p, 2*time.Second)
			}
		}()
		wantStats(t, p, pool.Stats{Workers: 1, Busy: 1, Queued: 1, Waiting: 1})
		time.Sleep(time.Second) // 1s
		p.Resize(4)
		wantStats(t, p, pool.Stats{Workers: 4, Busy: 4, Queued: 4, Waiting: 1})
		p.Resize(0)
		wantStats(t, p, pool.Stats{Workers: 4, Busy: 4, Queued: 4, Waiting: 1})
		time.Sleep(time.Second) // 2s: one ends, and its worker leaves
		wantStats(t, p, pool.Stats{Workers: 3, Busy: 3, Queued: 4, Waiting: 1, Done: 1})
		time.Sleep(time.Second) // 3s: three end, one worker stays
		wantStats(t, p, pool.Stats{Workers: 1, Busy: 1, Queued: 3, Waiting: 1, Done: 4})
		p.Resize(8) // 23 of 24 are in or on their way
		wantStats(t, p, pool.Stats{Workers: 8, Busy: 8, Queued: 8, Waiting: 1, Done: 4})
		time.Sleep(2 * time.Second)
		wantStats(t, p, pool.Stats{Workers: 8, Busy: 8, Queued: 4, Done: 12})
		mustDrain(t, p)
		wantStats(t, p, pool.Stats{Done: 24})
	})
}

func TestPanicBecomesTheTasksError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var failed failures[string]
		p := pool.New(1, func(_ context.Context, what string) error {
			switch what {
			case "value":
				panic("out of paper")
			case "error":
				panic(fmt.Errorf("wrapped: %w", io.ErrUnexpectedEOF))
			case "nil":
				panic(nil)
			case "runtime":
				var none []int
				_ = none[len(what)]
			case "goexit":
				runtime.Goexit()
			case "panic, then goexit":
				defer runtime.Goexit()
				panic("lost")
			}
			return nil
		})
		p.OnError = failed.add
		mustSubmit(t, p, "value", "error", "nil", "runtime", "goexit", "panic, then goexit", "fine")
		if err := p.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		wantStats(t, p, pool.Stats{Workers: 1, Done: 7, Failed: 6, Panicked: 4})

		for _, what := range []string{"value", "error", "nil", "runtime", "goexit",
			"panic, then goexit"} {
			if n := len(failed.err[what]); n != 1 {
				t.Fatalf("%s was handed to OnError %d times", what, n)
			}
		}
		value, ok := errors.AsType[*pool.PanicError](failed.err["value"][0])
		if !ok || value.Value != "out of paper" ||
			!strings.Contains(value.Error(), "out of paper") || value.Unwrap() != nil {
			t.Errorf("value: %v", failed.err["value"][0])
		}
		if !strings.Contains(string(value.Stack), "TestPanicBecomesTheTasksError") {
			t.Errorf("the stack does not name the task's function:\n%s", value.Stack)
		}
		if err := failed.err["error"][0]; !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("error: %v does not wrap the panic's error", err)
		}
		if _, ok := errors.AsType[runtime.Error](failed.err["runtime"][0]); !ok {
			t.Errorf("runtime: %v", failed.err["runtime"][0])
		}
		if err := failed.err["goexit"][0]; !strings.Contains(err.Error(), "runtime.Goexit") {
			t.Errorf("goexit: %v", err)
		}
		err := p.Drain(t.Context())
		if got, ok := errors.AsType[*pool.PanicError](err); !ok || got != value {
			t.Errorf("Drain: %v, want the first panic", err)
		}
	})
}

// Neither Wait nor Drain nor a blocked Submit hangs on tasks that all panic or leave by Goexit.
func TestPanicsDoNotHangWaiters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := pool.New(3, func(_ context.Context, n int) error {
			time.Sleep(time.Second)
			if n%2 == 0 {
				runtime.Goexit()
			}
			panic(n)
		})
		for n := range 60 {
			mustSubmit(t, p, n)
		}
		if err := p.Wait(t.Context()); err != nil {
			t.Errorf("Wait: %v", err)
		}
		wantStats(t, p, pool.Stats{Workers: 3, Done: 60, Failed: 60, Panicked: 30})
		if err := p.Drain(t.Context()); err == nil {
			t.Error("Drain: nil after failures")
		}
	})
}

// A callback that ends its goroutine, as t.FailNow does, neither ends the worker nor hides the
// task.
func TestCallbackThatLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int64
		p := pool.New(2, func(context.Context, int) error { return errBoom })
		p.OnError = func(n int, err error) {
			calls.Add(1)
			if n%2 == 0 {
				runtime.Goexit()
			}
		}
		for n := range 30 {
			mustSubmit(t, p, n)
		}
		if err := p.Drain(t.Context()); !errors.Is(err, errBoom) {
			t.Errorf("Drain: %v, want the task's error", err)
		}
		if calls.Load() != 30 {
			t.Errorf("OnError was called %d times, want 30", calls.Load())
		}
		wantStats(t, p, pool.Stats{Done: 30, Failed: 30})
	})
}

// A panic in a callback is a mistake of the program, which ends it: nothing else would tell.
func TestCallbackThatPanics(t *testing.T) {
	const name = "PENSTOCK_TEST_CALLBACK"
	if which := os.Getenv(name); which != "" {
		p := pool.New(1, func(context.Context, int) error { return errBoom })
		if which == "OnError" {
			p.OnError = func(int, error) { panic("the callback's") }
		} else {
			p.Observe = func(int, error, time.Duration, time.Duration) { panic("the callback's") }
		}
		mustSubmit(t, p, 1)
		_ = p.Drain(t.Context())
		return
	}
	for _, which := range []string{"OnError", "Observe"} {
		cmd := exec.Command(os.Args[0], "-test.run=^TestCallbackThatPanics$")
		cmd.Env = append(os.Environ(), name+"="+which)
		out, err := cmd.CombinedOutput()
		if err == nil || !strings.Contains(string(out), "panic: the callback's") {
			t.Errorf("%s: the program went on: %v\n%s", which, err, out)
		}
	}
}

// Wait, Drain and Stats see a task as ended only when OnError has returned for it.
func TestOnErrorIsPartOfTheTask(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := pool.New(1, func(context.Context, int) error { return errBoom })
		p.OnError = func(int, error) { time.Sleep(time.Second) }
		start := time.Now()
		mustSubmit(t, p, 1)
		wantStats(t, p, pool.Stats{Workers: 1, Busy: 1})
		if err := p.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := time.Since(start); got != time.Second {
			t.Errorf("Wait returned after %v, want 1s", got)
		}
		_ = p.Drain(t.Context())
	})
}

func TestSubmitFromWithinATask(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p *pool.Pool[int]
		var ran atomic.Int64
		var contexts sync.Map
		p = pool.New(4, func(ctx context.Context, depth int) error {
			ran.Add(1)
			contexts.Store(ctx, true)
			if depth == 0 {
				return nil
			}
			return p.Submit(ctx, depth-1)
		})
		mustSubmit(t, p, 9, 9)
		// A child is accepted before its parent ends, so with nothing left after a Wait there is
		// nothing to come.
		for p.Stats().Busy+p.Stats().Queued > 0 {
			if err := p.Wait(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		mustDrain(t, p)
		if ran.Load() != 20 {
			t.Errorf("%d tasks ran, want 20", ran.Load())
		}
		n := 0
		contexts.Range(func(any, any) bool { n++; return true })
		if n != 1 {
			t.Errorf("the tasks had %d contexts, want 1: each would hold the one before", n)
		}
	})
}

// All workers in Submit on their own full pool: a context or Drain gets them out.
func TestSubmitFromWithinAFullPool(t *testing.T) {
	newPool := func(t *testing.T, ctx context.Context) *pool.Pool[int] {
		var p *pool.Pool[int]
		p = pool.New(2, func(_ context.Context, depth int) error {
			if depth == 0 {
				return nil
			}
			time.Sleep(time.Second)
			return p.Submit(ctx, depth-1)
		})
		mustSubmit(t, p, 1, 1, 1, 1)
		time.Sleep(time.Minute)
		wantStats(t, p, pool.Stats{Workers: 2, Busy: 2, Queued: 2, Waiting: 2})
		return p
	}
	t.Run("context", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancelCause(t.Context())
			p := newPool(t, ctx)
			cancel(errBoom)
			if err := p.Wait(t.Context()); err != nil {
				t.Errorf("Wait: %v", err)
			}
			if err := p.Drain(t.Context()); !errors.Is(err, errBoom) {
				t.Errorf("Drain: %v, want %v", err, errBoom)
			}
		})
	})
	t.Run("drain", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			p := newPool(t, t.Context())
			if err := p.Drain(t.Context()); !errors.Is(err, pool.ErrDraining) {
				t.Errorf("Drain: %v, want the tasks' ErrDraining", err)
			}
		})
	})
}

// New starts nothing, a task that finds an idle worker starts no other, and no worker is started
// beyond the limit. A pool that was never used has nothing to drain, or its goroutines would fail
// the test.
func TestWorkersStartOnDemand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		unused := pool.New(8, sleep)
		unused.Resize(9)
		wantStats(t, unused, pool.Stats{})

		p := pool.New(3, sleep)
		for n := range int64(3) {
			mustSubmit(t, p, time.Second)
			wantStats(t, p, pool.Stats{Workers: 1, Busy: 1, Done: n})
			time.Sleep(time.Second)
			synctest.Wait() // it has ended
		}
		mustSubmit(t, p, time.Second, time.Second)
		wantStats(t, p, pool.Stats{Workers: 2, Busy: 2, Done: 3})
		mustSubmit(t, p, time.Second, time.Second, time.Second)
		wantStats(t, p, pool.Stats{Workers: 3, Busy: 3, Queued: 2, Done: 3})
		time.Sleep(time.Minute)
		wantStats(t, p, pool.Stats{Workers: 3, Done: 8}) // idle ones stay
		p.Resize(2)
		wantStats(t, p, pool.Stats{Workers: 2, Done: 8})
		mustDrain(t, p)
	})
}

// A pool that was never used ends at once, however often it is ended.
func TestDrainOfAnUnusedPool(t *testing.T) {
	p := pool.New(8, sleep)
	p.Discard(errBoom)
	mustDrain(t, p)
	mustDrain(t, p)
	if err := p.Submit(t.Context(), 0); err != pool.ErrDraining {
		t.Errorf("Submit: %v, want ErrDraining", err)
	}
}

// An oddContext cannot be compared.
type oddContext struct {
	context.Context
	odd []int
}

// A task's context has the submitter's values, outlives it, and ends with the pool, whose cause it
// has.
func TestTasksContext(t *testing.T) {
	type key struct{}
	synctest.Test(t, func(t *testing.T) {
		seen := make(map[any]context.Context)
		p := pool.New(1, func(ctx context.Context, d time.Duration) error {
			seen[ctx.Value(key{})] = ctx
			child, cancel := context.WithCancel(ctx)
			defer cancel()
			return sleep(child, d)
		})
		submit := func(ctx context.Context, d time.Duration) {
			t.Helper()
			if err := p.Submit(ctx, d); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		with := func(value any) (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, io.EOF)
			return context.WithValue(ctx, key{}, value), cancel
		}
		first, cancel := with("first")
		submit(first, time.Minute)
		cancel()
		time.Sleep(time.Minute)

		second, cancel := with("second")
		submit(second, 0)
		submit(second, 0)
		cancel()
		for _, value := range []string{"odd", "odder"} {
			ctx, cancel := with(value)
			submit(oddContext{ctx, nil}, 0)
			cancel()
		}
		last, cancel := with("last")
		submit(last, time.Hour)
		cancel()

		for _, value := range []any{"first", "second", "odd", "odder", "last"} {
			ctx := seen[value]
			if ctx == nil {
				t.Errorf("no task had the value %v", value)
				continue
			}
			if _, has := ctx.Deadline(); ctx.Err() != nil || context.Cause(ctx) != nil || has {
				t.Errorf("%v: %v, %v, deadline %v", value, ctx.Err(), context.Cause(ctx), has)
			}
		}
		end, cancelDrain := context.WithCancelCause(t.Context())
		cancelDrain(errBoom)
		if err := p.Drain(end); !errors.Is(err, errBoom) {
			t.Errorf("Drain: %v, want the task cancelled", err)
		}
		if ctx := seen["last"]; ctx.Err() == nil || context.Cause(ctx) != errBoom {
			t.Errorf("after Drain: %v, %v", ctx.Err(), context.Cause(ctx))
		}
		wantStats(t, p, pool.Stats{Done: 6, Failed: 1})
	})
}

// A task that another pool's task submits has that one's values, and ends with its own pool.
func TestContextOfAnotherPool(t *testing.T) {
	type key struct{}
	synctest.Test(t, func(t *testing.T) {
		var seen context.Context
		inner := pool.New(1, func(ctx context.Context, d time.Duration) error {
			seen = ctx
			return sleep(ctx, d)
		})
		outer := pool.New(1, inner.Submit)
		ctx := context.WithValue(t.Context(), key{}, "value")
		if err := outer.Submit(ctx, time.Minute); err != nil {
			t.Fatal(err)
		}
		mustDrain(t, outer)
		synctest.Wait()
		if seen.Value(key{}) != "value" || seen.Err() != nil {
			t.Errorf("value %v, ended by %v", seen.Value(key{}), seen.Err())
		}
		mustDrain(t, inner)
		if seen.Err() == nil { // what hangs on it would stay
			t.Error("the pool has ended, and the context has not")
		}
	})
}

func TestObserve(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got []string
		p := pool.New(1, func(ctx context.Context, d time.Duration) error {
			if err := sleep(ctx, d); err != nil || d != 3*time.Second {
				return err
			}
			panic("out of paper")
		})
		p.OnError = func(d time.Duration, err error) {
			got = append(got, fmt.Sprint(d, " failed: ", err))
		}
		p.Observe = func(d time.Duration, err error, queued, ran time.Duration) {
			got = append(got, fmt.Sprint(d, " queued ", queued, " ran ", ran, " ", err))
		}
		mustSubmit(t, p, 2*time.Second)
		time.Sleep(time.Second)
		mustSubmit(t, p, 3*time.Second, time.Hour, 2*time.Hour) // the others wait in Submit first
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Minute, errBoom)
		defer cancel()
		if err := p.Drain(ctx); !errors.Is(err, pool.ErrNotStarted) {
			t.Errorf("Drain: %v, want ErrNotStarted", err)
		}
		want := []string{
			"2s queued 0s ran 2s <nil>",
			"3s failed: pool: recovered from panic: out of paper",
			"3s queued 1s ran 3s pool: recovered from panic: out of paper",
			"1h0m0s failed: boom",
			"1h0m0s queued 3s ran 1m0s boom",
			"2h0m0s failed: pool: task never started: boom",
			"2h0m0s queued 1m0s ran 0s pool: task never started: boom",
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

func TestStatsLogValue(t *testing.T) {
	got := pool.Stats{Workers: 3, Done: 2, NotStarted: 1}.LogValue().String()
	if want := "[workers=3 done=2 not_started=1]"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestNothingIsKeptAlive(t *testing.T) {
	type object [1 << 10]byte
	type task struct {
		*object
		end string
	}
	ends := []string{"well", "error", "panic", "goexit", "queued", "given up", "refused"}
	synctest.Test(t, func(t *testing.T) {
		hold := make(chan struct{})
		p := pool.New(1, func(_ context.Context, k task) error {
			switch k.end {
			case "first": // its error is kept
				return errBoom
			case "error":
				return &holder{k.object}
			case "panic":
				panic(k.object)
			case "goexit":
				runtime.Goexit()
			case "hold":
				<-hold
			}
			return nil
		})
		p.OnError = func(task, error) {}

		pointers := make(map[string]weak.Pointer[object])
		submit := func(ctx context.Context, end string) {
			o := new(object)
			pointers[end] = weak.Make(o)
			err := p.Submit(ctx, task{o, end})
			if failed := err != nil; failed != (end == "given up" || end == "refused") {
				t.Errorf("Submit(%s): %v", end, err)
			}
		}
		gone := func(ends ...string) {
			t.Helper()
			synctest.Wait()
			runtime.GC()
			for _, end := range ends {
				if pointers[end].Value() != nil {
					t.Errorf("the task that ended by %q is still alive", end)
				}
			}
		}
		submit(t.Context(), "first")
		for _, end := range ends[:4] {
			submit(t.Context(), end)
		}
		gone(ends[:4]...) // in an idle pool

		submit(t.Context(), "hold")
		synctest.Wait()
		submit(t.Context(), "queued")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		submit(ctx, "given up")
		cancel()
		gone("given up") // in a busy pool

		go submit(t.Context(), "refused")
		synctest.Wait()
		time.AfterFunc(time.Second, func() { close(hold) })
		ctx, cancel = context.WithCancel(t.Context())
		cancel()
		if err := p.Drain(ctx); err == nil {
			t.Error("Drain: nil after failures")
		}
		gone(ends...)
		runtime.KeepAlive(p)
	})
}

// A holder is an error that keeps its task alive.
type holder struct{ what any }

func (*holder) Error() string { return "holder" }

// Nor are the values of contexts that tasks were submitted with, once the pool has ended.
func TestNoContextIsKeptAlive(t *testing.T) {
	type key struct{}
	type value [1 << 10]byte
	synctest.Test(t, func(t *testing.T) {
		p := pool.New(2, sleep)
		var pointers []weak.Pointer[value]
		for range 5 {
			v := new(value)
			pointers = append(pointers, weak.Make(v))
			if err := p.Submit(context.WithValue(t.Context(), key{}, v), time.Second); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Minute)
		alive := func() (n int) {
			runtime.GC()
			for _, v := range pointers {
				if v.Value() != nil {
					n++
				}
			}
			return n
		}
		if n := alive(); n > 1 {
			t.Errorf("an idle pool keeps %d contexts alive, want the last at most", n)
		}
		mustDrain(t, p)
		if n := alive(); n > 0 {
			t.Error("a pool that has ended keeps a context alive")
		}
		runtime.KeepAlive(p)
	})
}

func TestNoAllocationATask(t *testing.T) {
	for name, workers := range map[string]int{"never full": 64, "always full": 1} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			p := pool.New(workers, func(context.Context, int) error { return nil })
			defer mustDrain(t, p)
			allocs := testing.AllocsPerRun(1000, func() {
				if err := p.Submit(ctx, 1); err != nil {
					t.Error(err)
				}
			})
			if allocs != 0 {
				t.Errorf("%v allocations a task, want 0", allocs)
			}
		})
	}
}

// Submitters that give up, workers that come and go, and a Drain in the middle of it all, on real
// time and all processors: each task accepted is run once or handed over once, and each one refused
// never.
func TestNoTaskIsLostOrDoubled(t *testing.T) {
	const submitters, each = 8, 300
	for round := range 20 {
		seed := uint64(round)
		var ran, unstarted [submitters * each]atomic.Int32
		p := pool.New(2, func(ctx context.Context, n int) error {
			ran[n].Add(1)
			switch n % 50 {
			case 0:
				runtime.Goexit()
			case 1:
				panic(n)
			case 2:
				return errBoom
			case 3:
				time.Sleep(50 * time.Microsecond)
			}
			return nil
		})
		p.OnError = func(n int, err error) {
			if errors.Is(err, pool.ErrNotStarted) {
				unstarted[n].Add(1)
			}
		}
		var accepted [submitters * each]bool
		var all sync.WaitGroup
		for s := range submitters {
			random := rand.New(rand.NewPCG(seed, uint64(s)))
			all.Go(func() {
				for n := s * each; n < (s+1)*each; n++ {
					ctx, cancel := context.WithCancel(context.Background())
					if random.IntN(4) == 0 {
						go cancel()
					}
					err := p.Submit(ctx, n)
					cancel()
					accepted[n] = err == nil
					if err == pool.ErrDraining {
						return
					}
				}
			})
		}
		stop := make(chan struct{})
		all.Go(func() {
			random := rand.New(rand.NewPCG(seed, submitters))
			for {
				select {
				case <-stop:
					return
				default:
					p.Resize(random.IntN(9))
					runtime.Gosched()
				}
			}
		})
		// from "at once" to well in the middle
		for p.Stats().Done < int64(round*submitters*each/25) {
			runtime.Gosched()
		}
		ctx, cancel := context.WithCancel(context.Background())
		if round%2 == 0 {
			cancel() // at once; else only the intake ends
		}
		err := p.Drain(ctx)
		cancel()
		close(stop)
		all.Wait()

		var want pool.Stats
		for n := range accepted {
			sum := ran[n].Load() + unstarted[n].Load()
			if accepted[n] && sum != 1 || !accepted[n] && sum != 0 {
				t.Errorf("seed %d: task %d: accepted %v, ran %d times, handed over %d times",
					seed, n, accepted[n], ran[n].Load(), unstarted[n].Load())
			}
			if ran[n].Load() > 0 {
				want.Done++
				if n%50 < 3 {
					want.Failed++
				}
				if n%50 == 1 {
					want.Panicked++
				}
			}
			want.NotStarted += int64(unstarted[n].Load())
		}
		if got := p.Stats(); got != want {
			t.Errorf("seed %d: stats %+v, want %+v", seed, got, want)
		}
		if failed := want.Failed+want.NotStarted > 0; failed != (err != nil) {
			t.Errorf("seed %d: Drain: %v with %+v", seed, err, want)
		}
	}
}

// Many submitters on a tiny pool, none of which gives up: a lost wake-up would leave one behind
// forever.
func TestNoSubmitterIsLeftBehind(t *testing.T) {
	var ran atomic.Int64
	p := pool.New(1, func(context.Context, int) error { ran.Add(1); return nil })
	var all sync.WaitGroup
	for range 100 {
		all.Go(func() {
			for n := range 100 {
				if err := p.Submit(context.Background(), n); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	mustDrain(t, p)
	if ran.Load() != 100*100 {
		t.Errorf("%d tasks ran, want %d", ran.Load(), 100*100)
	}
}

// The text of an Error says the cause once.
func TestErrorSaysTheCauseOnce(t *testing.T) {
	for _, c := range []struct {
		first error
		want  string
	}{
		{fmt.Errorf("cut off: %w", errBoom),
			"pool: 1 of 3 tasks failed, the first: cut off: boom; 1 of 3 tasks never started"},
		{io.EOF, "pool: 1 of 3 tasks failed, the first: EOF; 1 of 3 tasks never started: boom"},
	} {
		e := &pool.Error{Accepted: 3, Failed: 1, NotStarted: 1, First: c.first, Cause: errBoom}
		if e.Error() != c.want {
			t.Errorf("it says %q, want %q", e.Error(), c.want)
		}
	}
}
