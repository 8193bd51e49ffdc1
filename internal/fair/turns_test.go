package fair

import (
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
)

// A naive is what turns are to do, in as few words as possible.
type naive struct {
	order []string // clients, the next first
	had   []string // of these, those that have had a turn
	calls map[string][]*call
}

func (n *naive) push(name string, c *call) {
	if len(n.calls[name]) == 0 {
		n.order = append(n.order, name)
	}
	n.calls[name] = append(n.calls[name], c)
	slices.SortFunc(n.calls[name], func(a, b *call) int { return int(a.place) - int(b.place) })
}

func (n *naive) remove(c *call) {
	for name, calls := range n.calls {
		if i := slices.Index(calls, c); i >= 0 {
			n.calls[name] = slices.Delete(calls, i, i+1)
			if len(n.calls[name]) == 0 {
				is := func(s string) bool { return s == name }
				n.order, n.had = slices.DeleteFunc(n.order, is), slices.DeleteFunc(n.had, is)
			}
		}
	}
}

func (n *naive) take(probe bool) *call {
	if len(n.order) == 0 {
		return nil
	}
	name, at := n.order[0], 0
	for _, had := range []bool{true, false} {
		for _, o := range slices.Backward(n.order) {
			for i, c := range n.calls[o] {
				if probe && c.fresh && slices.Contains(n.had, o) == had {
					name, at = o, i
				}
			}
		}
	}
	c := n.calls[name][at]
	n.had = append(n.had, name)
	n.remove(c)
	if i := slices.Index(n.order, name); i >= 0 {
		n.order = append(slices.Delete(n.order, i, i+1), name)
	}
	return c
}

// Whatever comes, leaves, comes back and is refused, turns go as in the naive model, and before
// says how many go before a new call.
func TestTurns(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 0))
		q := new(turns)
		model := &naive{calls: map[string][]*call{}}
		var waiting, refused []*call
		var names []string // of the refused
		var arrivals uint64
		for range 300 {
			name := strconv.Itoa(r.IntN(5))
			switch op := r.IntN(10); {
			case op < 4:
				arrivals++
				c := &call{place: arrivals, fresh: r.IntN(3) == 0, size: int64(r.IntN(100))}
				q.push(name, c)
				model.push(name, c)
				waiting = append(waiting, c)
			case op < 5 && len(refused) > 0:
				i := r.IntN(len(refused))
				q.push(names[i], refused[i])
				model.push(names[i], refused[i])
				waiting = append(waiting, refused[i])
				refused, names = slices.Delete(refused, i, i+1), slices.Delete(names, i, i+1)
			case op < 6 && len(waiting) > 0:
				i := r.IntN(len(waiting))
				q.remove(waiting[i])
				model.remove(waiting[i])
				waiting = slices.Delete(waiting, i, i+1)
			case op >= 6:
				var client string
				probe := r.IntN(4) == 0
				if c := q.first(probe); c != nil {
					client = c.client.name
				}
				got, want := q.take(probe), model.take(probe)
				if got != want {
					t.Fatalf("seed %d: it was the turn of %+v, want %+v", seed, got, want)
				}
				if got != nil {
					i := slices.Index(waiting, got)
					waiting = slices.Delete(waiting, i, i+1)
					if r.IntN(3) == 0 {
						got.fresh = false
						refused, names = append(refused, got), append(names, client)
					}
				}
			}
			var bytes int64
			for _, c := range waiting {
				bytes += c.size
			}
			if q.waiting() != len(waiting) || q.bytes != bytes ||
				len(q.clients) != len(model.order) {

				t.Fatalf("seed %d: %d calls of %d clients, %d bytes; want %d of %d, %d bytes",
					seed, q.waiting(), len(q.clients), q.bytes, len(waiting),
					len(model.order), bytes)
			}
		}
		name := strconv.Itoa(r.IntN(6))
		before, last := q.before(name), &call{place: arrivals + 1}
		q.push(name, last)
		for n := 0; ; n++ {
			if c := q.take(false); c == last {
				if n != before {
					t.Errorf("seed %d: %d go before, want %d", seed, n, before)
				}
				break
			}
		}
	}
}

// A client that has nothing waiting is forgotten.
func TestTurnsForget(t *testing.T) {
	q := new(turns)
	for i := range 100_000 {
		q.push(strconv.Itoa(i), &call{place: uint64(i)})
	}
	for q.take(false) != nil {
	}
	if q.clients != nil || q.order.Len() != 0 || q.arrived.Len() != 0 || q.bytes != 0 {
		t.Errorf("left: %+v", q)
	}
}
