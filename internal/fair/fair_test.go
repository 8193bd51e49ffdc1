package fair

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock/penstock/throttle"
)

func TestTurnsGoRound(t *testing.T) {
	for name, l := range map[string]throttle.Limits{
		"rate":      {Rate: 10, Fixed: true},
		"in flight": {InFlight: 1, Fixed: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, l, 100*ms, nil)
				for _, client := range strings.Split("aaaaabbbcc", "") {
					w.start(t.Context(), client, "/")
				}
				if s := w.Queue(host); s != (QueueStats{Waiting: 9, Clients: 3, Bytes: 45}) {
					t.Errorf("%+v", s)
				}
				time.Sleep(350 * ms)
				if s := w.Queue(host); s != (QueueStats{6, 3, 30, 350 * ms}) {
					t.Errorf("%+v", s)
				}
				w.idle()
				if got := w.order(); got != "aabcabcaba" {
					t.Error(got)
				}
				for i, s := range w.sent {
					if s.at != time.Duration(i)*100*ms {
						t.Errorf("request %d at %v", i, s.at)
					}
				}
			})
		})
	}
}

// However many requests one client has, the first of another is sent within two turns.
func TestOneAmongMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, throttle.Limits{Rate: 100, Fixed: true}, 0, nil)
		ctx, cancel := context.WithCancel(t.Context())
		for range 10_000 {
			w.group.Go(func() { w.call(ctx, "m", "/") })
		}
		for range 10 {
			time.Sleep(105 * ms)
			synctest.Wait()
			before := len(w.order())
			if err := w.call(t.Context(), "1", "/"); err != nil {
				t.Error(err)
			}
			if turns := strings.Index(w.order()[before:], "1") + 1; turns < 1 || turns > 2 {
				t.Errorf("it was sent in turn %d", turns)
			}
		}
		cancel()
		w.idle()
	})
}

// Clients that always have something waiting have equal shares, whatever they ask for.
func TestShares(t *testing.T) {
	for name, l := range map[string]throttle.Limits{
		"rate":      {Rate: 50, Fixed: true},
		"in flight": {InFlight: 8, Fixed: true},
		"found":     {Rate: 50},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, l, 150*ms, nil)
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				for i, callers := range []int{10, 20, 100, 400} {
					for range callers {
						w.group.Go(func() {
							for ctx.Err() == nil {
								w.call(ctx, string('a'+rune(i)), "/")
							}
						})
					}
				}
				w.idle()
				wantShares(t, w.order(), 4, 2000)
			})
		})
	}
}

// wantShares checks that each client has its share of at least that many requests, within 5 %.
func wantShares(t *testing.T, order string, clients, least int) {
	t.Helper()
	if len(order) < least {
		t.Errorf("only %d were sent", len(order))
	}
	for i := range clients {
		name := string('a' + rune(i))
		share := float64(strings.Count(order, name)) / float64(len(order)) * float64(clients)
		if share < 0.95 || share > 1.05 {
			t.Errorf("client %s has %.3f of its share", name, share)
		}
	}
}

// Clients that come, cancel, are refused and come again have turns as in a naive model.
func TestModel(t *testing.T) {
	for seed := range uint64(30) {
		synctest.Test(t, func(t *testing.T) { testModel(t, rand.New(rand.NewPCG(seed, 1))) })
	}
}

func testModel(t *testing.T, r *rand.Rand) {
	w := newWorld(t, throttle.Limits{Rate: 10, Fixed: true}, 0, nil)
	model := newNaives()
	type one struct {
		client, path string
		trace        Trace
		cancel       context.CancelFunc
		call         *call
	}
	var all, refused []*one // all by their path
	start := func(o *one) {
		ctx, cancel := context.WithCancel(WithTrace(t.Context(), &o.trace))
		o.cancel = cancel
		if o.call.behind {
			ctx = Behind(ctx)
		}
		model.of(o.call).push(o.client, o.call)
		w.start(ctx, o.client, o.path)
	}
	restart := func(i int) {
		o := refused[i]
		refused = append(refused[:i], refused[i+1:]...)
		start(o)
	}
	checked := 0
	// check has the model take the turns of what was sent since.
	check := func() {
		synctest.Wait()
		for _, sent := range w.sentNow()[checked:] {
			checked++
			i, _ := strconv.Atoi(sent.path[1:])
			got := all[i]
			if want := model.take(false); got.call != want {
				t.Fatalf("request %d was %s of %s; want place %d", checked, got.path, got.client,
					want.place)
			}
			if got.cancel(); r.IntN(3) == 0 {
				refused = append(refused, got)
			}
		}
	}
	for step := range 400 {
		switch op := r.IntN(10); {
		case op < 4:
			o := &one{client: string('a' + rune(r.IntN(4))), path: fmt.Sprintf("/%d", len(all))}
			o.call = &call{place: uint64(len(all)), behind: r.IntN(2) == 0}
			all = append(all, o)
			start(o)
		case op < 5 && len(refused) > 0:
			restart(r.IntN(len(refused)))
		case op < 6 && len(all) > 0:
			if o := all[r.IntN(len(all))]; slices.Contains(model.waiting(), o.call) {
				model.of(o.call).remove(o.call)
				o.cancel()
			}
		default:
			time.Sleep(50 * ms)
		}
		check()
		if n, want := w.Queue(host).Waiting, len(flat(model[0].calls)); n != want {
			t.Fatalf("step %d: %d wait, want %d", step, n, want)
		}
	}
	for len(model.waiting()) > 0 {
		time.Sleep(100 * ms)
		check()
	}
	w.idle()
	attempts := map[string]int{}
	for _, sent := range w.sent {
		attempts[sent.path]++
	}
	for _, o := range all {
		if got := o.trace.Times().Attempts; got != attempts[o.path] {
			t.Errorf("%s has %d attempts, want %d", o.path, got, attempts[o.path])
		}
	}
}

// naives are the calls that are not in the background, and those that are.
type naives [2]*naive

func newNaives() naives {
	return naives{{calls: map[string][]*call{}}, {calls: map[string][]*call{}}}
}

func (n naives) of(c *call) *naive {
	if c.behind {
		return n[1]
	}
	return n[0]
}

func (n naives) take(probe bool) *call {
	if c := n[0].take(probe); c != nil {
		return c
	}
	return n[1].take(probe)
}

func (n naives) waiting() []*call { return append(flat(n[0].calls), flat(n[1].calls)...) }

func flat(m map[string][]*call) (all []*call) {
	for _, calls := range m {
		all = append(all, calls...)
	}
	return all
}
