package report

import "time"

const second = int64(time.Second)

// window finds the largest number of instants that lie within one half-open second, over all
// seconds, not only those that begin on the clock's tick.
//
// It remembers two seconds of instants, so its memory follows the rate and not the length of the
// run. Instants may come out of order, as they do from many goroutines; one that is a full second
// late is left out, since what it has to be compared with may be gone.
type window struct {
	ring []int64 // sorted, nanoseconds; the length is a power of two
	head int     // index of the oldest
	n    int
	lo   int // the oldest instant less than a second before the newest, counted from head
	max  int
}

func (w *window) at(i int) *int64 { return &w.ring[(w.head+i)&(len(w.ring)-1)] }

func (w *window) add(t int64) {
	if w.n > 0 && t <= *w.at(w.n - 1)-second {
		return
	}
	if w.n == len(w.ring) {
		w.grow()
	}
	p := w.n
	w.n++
	for ; p > 0 && *w.at(p - 1) > t; p-- {
		*w.at(p) = *w.at(p - 1)
	}
	*w.at(p) = t

	// Only the seconds that end at t or at an instant after it gained a member.
	lo := w.lo
	if p < w.n-1 {
		for lo > 0 && *w.at(lo - 1) > t-second {
			lo--
		}
	}
	for k := p; k < w.n; k++ {
		for *w.at(lo) <= *w.at(k)-second {
			lo++
		}
		w.max = max(w.max, k-lo+1)
	}
	w.lo = lo

	for *w.at(0) <= *w.at(w.n - 1)-2*second {
		w.head = (w.head + 1) & (len(w.ring) - 1)
		w.n--
		w.lo--
	}
}

func (w *window) grow() {
	ring := make([]int64, max(64, 2*len(w.ring)))
	for i := range w.n {
		ring[i] = *w.at(i)
	}
	w.ring, w.head = ring, 0
}
