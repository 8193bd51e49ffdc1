package progress

import (
	"math"
	"slices"
)

const (
	// alone is how many seconds a number of large files has to be under way before the bytes a
	// second are those of that number.
	alone = 0.1
	// aloneLater is that time once the pace of another number is known: a file that has just begun
	// may not move yet.
	aloneLater = 1.0
	// maxQueue is how many files a schedule looks at one by one; the others keep all connections
	// busy.
	maxQueue = 64
	// costOfRequest is for how many seconds a small file keeps its connection at most, as long as
	// none was answered: the way across the world and back, and the server's own time. It is a
	// guess.
	costOfRequest = 0.2
)

// tail predicts how long large files take, each on its connection, and the small ones beside and
// after them. While there are enough large ones, all connections are busy. The last ones gain
// nothing from being fewer, unless all share one line. Their pace shows which is true when their
// number changes; until then each is predicted at its present pace.
type tail struct {
	n       int              // files under way when some were seen last
	since   float64          // seconds that they have been as many
	known   int              // the last n whose pace was seen
	byCount map[int]*average // bytes a second of so many

	slots average // connections in use
	// before is what was done of the files under way in the last snapshot; the keys lack that.
	before   map[Underway]int64
	requests requests
	gone     float64 // seconds since a large file was under way
}

// requests are those of small files.
type requests struct {
	busy  average // connections in use for them
	ended average // of these, files
	bytes average
	alone float64 // seconds in which there were no others
}

// add records that files ended and bytes were sent within dt seconds, with n connections in use for
// such files.
func (r *requests) add(files, bytes, n, dt float64) {
	memory := max(rateMemory, gaps*r.busy.n/max(1, r.ended.n))
	r.busy.add(n*dt, dt, memory)
	r.ended.add(files, dt, memory)
	r.bytes.add(bytes, dt, memory)
}

// cost returns for how many seconds a file keeps its connection at least and at most, beside what
// its bytes take at that pace. So many are on their way now.
func (r *requests) cost(now int, pace float64) (least, most float64) {
	busy := max(0, r.busy.n-r.bytes.n/pace)
	if r.ended.n > 0 {
		return busy / (r.ended.n + float64(now)), busy / r.ended.n
	}
	return 0, max(costOfRequest, busy)
}

// observe records dt seconds that ended at s, in which so many files ended and so many bytes were
// sent.
func (t *tail) observe(s *Snapshot, files, bytes, dt float64) {
	if s.Pause <= 0 {
		t.slots.add(float64(s.InFlight)*dt, dt, rateMemory)
	}
	small := bytes
	now := make(map[Underway]int64, len(s.Underway))
	for _, u := range s.Underway {
		done := u.Done
		u.Done = 0
		now[u] = done
	}
	for u, done := range t.before {
		if later, is := now[u]; is {
			small -= float64(max(0, later-done)) // it may be sent again
		} else {
			files--
			small -= float64(u.Size - done)
		}
	}
	t.before = now
	if n := s.InFlight - len(s.Underway); n > 0 || files > 0 {
		t.requests.add(max(0, files), max(0, small), float64(max(0, n)), dt)
		if len(s.Underway) == 0 {
			t.requests.alone += dt
		}
	}
	if t.gone += dt; len(s.Underway) > 0 {
		t.gone = 0
	}
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

// sharing returns how much of their pace files gain when there are fewer of them: 0 if nothing, 1
// if the sum stays the same.
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

// unsent returns the bytes left of each large file under way. Files that are sent whole are left
// out.
func unsent(s *Snapshot) (left []float64) {
	for _, u := range s.Underway {
		if u.Done < u.Size {
			left = append(left, float64(u.Size-u.Done))
		}
	}
	return left
}

// left returns the seconds at least and at most until all is sent, if large files are under way, or
// were a short time ago, and their pace is known. It is not sure where too much of that is a guess
// of what small files cost: what the answers to large ones say of it is lost in the buffers that
// their bytes go through.
func (t *tail) left(s *Snapshot, rest work) (least, most float64, sure, ok bool) {
	if t.gone >= memory || t.known == 0 {
		return 0, 0, false, false
	}
	active, pace := unsent(s), t.byCount[t.known].value()/float64(t.known)
	if pace <= 0 {
		return 0, 0, false, false
	}
	share := t.sharing()
	if s.Limit == LimitBandwidth {
		share = 1
	}
	each := func(n int) float64 { return pace * math.Pow(float64(t.known)/float64(n), share) }

	inUse := max(1, t.slots.value(), float64(len(active)))
	slots := int(math.Round(inUse))
	queued := rest
	queued.files -= float64(len(s.Underway))
	for _, bytes := range active {
		queued.bytes -= bytes
	}
	queue, bulk := queued.divide(float64(s.Largest))
	low, high := t.requests.cost(s.InFlight-len(s.Underway), each(slots))
	if s.Ceiling > 0 && t.requests.ended.n == 0 {
		low = inUse / s.Ceiling // the rate that is allowed keeps them apart
		high = max(low, high)
	}
	small := max(0, queued.files-float64(len(queue)))
	low, high = low*small, high*small // seconds of a connection
	// The number in flight that was found with large files need not hold for small ones. While it
	// grows, it doubles with each answer.
	if s.Adaptive && s.Limit != LimitRate && t.requests.alone < sample {
		grown := min(1, math.Log2(1+small/inUse)*inUse/max(1, small))
		if low *= grown; s.Growing || t.requests.ended.n == 0 {
			high *= grown
		}
	}

	// If not, it is not known whether small files go beside those that wait, or after them.
	ordered := len(queue) == 0
	least = bulk / (each(slots) * float64(slots))
	free := 0.0 // seconds of the connections that large files do not need
	for len(active)+len(queue) > 0 {
		for len(active) < slots && len(queue) > 0 {
			active, queue = append(active, queue[0]), queue[1:]
		}
		first := slices.Min(active)
		takes := first / each(len(active))
		least += takes
		free += takes * float64(slots-len(active))
		active = slices.DeleteFunc(active, func(bytes float64) bool { return bytes <= first })
		for i := range active {
			active[i] -= first
		}
	}
	low, high = max(0, low-free)/inUse, max(0, high-free)/inUse
	sure = high-low <= doubtful*(least+high)
	most = least + (low+high)/2
	switch {
	case ordered:
		least = most
	case len(s.Underway) == 0: // it is not known whether those that wait are large
		least = queued.bytes / (each(slots) * float64(slots))
	}
	return least, most, sure, true
}

// divide returns the sizes of files that may make up the work, the largest first, and the bytes of
// those beyond them. It knows how large a file is at most.
func (w work) divide(largest float64) (sizes []float64, bulk float64) {
	if w.files < 1 || w.bytes <= 0 {
		return nil, 0
	}
	if largest <= 0 || largest > w.bytes {
		if largest = w.bytes / w.files; largest < largeMean {
			return nil, w.bytes
		}
	}
	n := min(math.Floor(w.bytes/largest+1e-9), w.files)
	for range int(min(n, maxQueue)) {
		sizes = append(sizes, largest)
	}
	return sizes, max(0, w.bytes-largest*float64(len(sizes)))
}
