package turns

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"time"
)

// A naive is what a line has, in as few words as possible.
type naive struct {
	inOrder      bool
	now          time.Time
	waits, taken []waiting

	since map[string]int // from which step on a client has had a turn
	last  map[string]int // in which step it was taken from last
}

type waiting struct {
	client string
	seq    int64
	due    time.Time
}

// next returns what of a client has to be taken next.
func (n *naive) next(name string) (next waiting, ok bool) {
	for _, w := range n.taken {
		if w.client == name && n.inOrder {
			return waiting{}, false
		}
	}
	for _, w := range n.waits {
		switch {
		case w.client != name:
		case w.due.After(n.now):
			if n.inOrder {
				return waiting{}, false
			}
		case !ok || w.seq < next.seq:
			next, ok = w, true
		}
	}
	return next, ok
}

// observe notes which clients have a turn after a step.
func (n *naive) observe(step int) {
	for name := range n.clients() {
		_, ok := n.next(name)
		if _, had := n.since[name]; !ok {
			delete(n.since, name)
		} else if !had {
			n.since[name] = step
		}
	}
}

func (n *naive) clients() map[string]bool {
	m := map[string]bool{}
	for _, w := range slices.Concat(n.waits, n.taken) {
		m[w.client] = true
	}
	for name := range n.since {
		if !m[name] {
			delete(n.since, name)
		}
	}
	return m
}

// Whatever comes, waits for its time, is taken, comes back and is removed: a client's requests go
// in the order of their numbers, none that is not due, and no client goes a second time while
// another has a turn.
func TestLine(t *testing.T) {
	for _, inOrder := range []bool{false, true} {
		t.Run(fmt.Sprint(inOrder), func(t *testing.T) {
			for seed := range uint64(200) {
				testLine(t, inOrder, rand.New(rand.NewPCG(seed, 0)))
			}
		})
	}
}

func testLine(t *testing.T, inOrder bool, r *rand.Rand) {
	l := &Line{InOrder: inOrder}
	model := &naive{inOrder: inOrder, now: time.Unix(1000, 0), since: map[string]int{},
		last: map[string]int{}}
	taken := map[int64]Waiter{}
	accepted := func(seq int64) time.Time { return time.Unix(seq, 0) }
	push := func(w waiting) {
		l.Push(w.client, Waiter{Seq: w.seq, Since: accepted(w.seq), Due: w.due})
		model.waits = append(model.waits, w)
	}
	draw := func(from *[]waiting) waiting {
		i := r.IntN(len(*from))
		w := (*from)[i]
		*from = slices.Delete(*from, i, i+1)
		return w
	}
	for step := 1; step <= 400; step++ {
		switch op := r.IntN(10); {
		case op < 4:
			push(waiting{client: strconv.Itoa(r.IntN(4)), seq: int64(step)})
		case op < 6 && len(model.taken) > 0:
			w := draw(&model.taken)
			l.Done(taken[w.seq])
			if r.IntN(2) == 0 {
				w.due = model.now.Add(time.Duration(r.IntN(5)) * time.Second)
				push(w)
			}
		case op < 7 && len(model.waits) > 0:
			w := draw(&model.waits)
			l.Remove(w.client, w.seq)
		case op < 8:
			model.now = model.now.Add(time.Second)
		default:
			got, ok := l.Take(model.now)
			if ok != (len(model.since) > 0) {
				t.Fatalf("step %d: took one: %v, but clients have turns: %v", step, ok, model.since)
			}
			if !ok {
				break
			}
			name := got.Client()
			want, _ := model.next(name)
			if got.Seq != want.seq {
				t.Fatalf("step %d: took %d, want %d", step, got.Seq, want.seq)
			}
			for other, since := range model.since {
				if model.last[other] < model.last[name] && since <= model.last[name] {
					t.Fatalf("step %d: %s has its turn again before %s", step, name, other)
				}
			}
			model.last[name] = step
			taken[got.Seq] = got
			model.waits = slices.DeleteFunc(model.waits, func(w waiting) bool { return w == want })
			model.taken = append(model.taken, want)
		}
		l.ripen(model.now)
		model.observe(step)
		var oldest time.Time
		for _, w := range model.waits {
			oldest = Earlier(oldest, accepted(w.seq))
		}
		clients := len(model.clients())
		if got := l.Oldest(); !got.Equal(oldest) || len(l.clients) != clients {
			t.Fatalf("step %d: the oldest of %v, want %v; %d clients, want %d", step, got, oldest,
				len(l.clients), clients)
		}
	}
}
