package report

import (
	"math"
	"slices"
)

const (
	// alone is how many seconds a number of large files has to be under way before the bytes a second are those of that number.
	alone = 0.1
	// aloneLater is that time once the pace of another number is known: a file that has just begun may not move yet.
	aloneLater = 1.0
	// maxQueue is how many files a schedule looks at one by one; the others keep all connections busy.
	maxQueue = 64
)

// tail predicts how long large files take, each on its connection. While there are enough of them, all connections are
// busy. The last ones gain nothing from being fewer, unless all share one line. Their pace shows which is true when their
// number changes; until then each is predicted at its present pace.
type tail struct {
	n       int              // files under way when some were seen last
	since   float64          // seconds that they have been as many
	known   int              // the last n whose pace was seen
	byCount map[int]*average // bytes a second of so many
}

// observe records dt seconds that ended at s, in which so many bytes were sent.
func (t *tail) observe(s *Snapshot, bytes, dt float64) {
	n := len(unsent(s))
	if n == 0 {
		return
	}
	if n != t.n {
		t.n, t.since = n, 0
		return
	}
	least := alone
	if t.known != 0 && t.known != n {
		least = aloneLater
	}
	if t.since += dt; t.since < least {
		return
	}
	if t.byCount == nil {
		t.byCount = make(map[int]*average)
	}
	if t.byCount[n] == nil {
		t.byCount[n] = new(average)
	}
	t.byCount[n].add(bytes, dt, rateMemory)
	t.known = n
}

// sharing returns how much of their pace files gain when there are fewer of them: 0 if nothing, 1 if the sum stays the same.
func (t *tail) sharing() float64 {
	few, many := math.MaxInt, 0
	for n := range t.byCount {
		few, many = min(few, n), max(many, n)
	}
	if few >= many {
		return 0
	}
	a, b := t.byCount[few].value()/float64(few), t.byCount[many].value()/float64(many)
	if a <= 0 || b <= 0 {
		return 0
	}
	return min(1, max(0, math.Log(a/b)/math.Log(float64(many)/float64(few))))
}

// unsent returns the bytes left of each large file under way. Files that are sent whole are left out.
func unsent(s *Snapshot) (left []float64) {
	for _, u := range s.Underway {
		if u.Done < u.Size {
			left = append(left, float64(u.Size-u.Done))
		}
	}
	return left
}

// left returns the seconds until all is sent, if large files are under way whose pace is known.
func (t *tail) left(s *Snapshot, rest work) (seconds float64, ok bool) {
	if len(s.Underway) == 0 || t.known == 0 {
		return 0, false
	}
	active, pace := unsent(s), t.byCount[t.known].value()/float64(t.known)
	if pace <= 0 {
		return 0, false
	}
	share := t.sharing()
	if s.Limit == LimitBandwidth {
		share = 1
	}
	each := func(n int) float64 { return pace * math.Pow(float64(t.known)/float64(n), share) }

	slots := max(1, s.InFlight, len(active))
	queued := rest
	queued.files -= float64(len(s.Underway))
	for _, bytes := range active {
		queued.bytes -= bytes
	}
	queue, bulk := queued.divide(float64(s.Largest))
	seconds = bulk / (each(slots) * float64(slots))
	for len(active)+len(queue) > 0 {
		for len(active) < slots && len(queue) > 0 {
			active, queue = append(active, queue[0]), queue[1:]
		}
		first := slices.Min(active)
		seconds += first / each(len(active))
		active = slices.DeleteFunc(active, func(bytes float64) bool { return bytes <= first })
		for i := range active {
			active[i] -= first
		}
	}
	return seconds, true
}

// divide returns the sizes of files that may make up the work, the largest first, and the bytes of those beyond them. It knows
// how large a file is at most.
func (w work) divide(largest float64) (sizes []float64, bulk float64) {
	if w.files < 1 || w.bytes <= 0 {
		return nil, 0
	}
	if largest <= 0 || largest > w.bytes {
		largest = w.bytes / w.files
	}
	n := min(math.Floor(w.bytes/largest+1e-9), w.files)
	for range int(min(n, maxQueue)) {
		sizes = append(sizes, largest)
	}
	return sizes, max(0, w.bytes-largest*float64(len(sizes)))
}
