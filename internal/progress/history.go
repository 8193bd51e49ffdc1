package progress

const (
	// shortest is how long a piece of history is at least from when something is done in it:
	// answers to requests that left together come together, and belong into one piece.
	shortest = 1.0
	// A prediction rests on so many files or so many pieces, where there are as many: an answer now
	// and then is a small sample.
	fewestFiles  = 16
	fewestPieces = 8
	// memory is how far back a prediction looks where that is enough: a server that gets slower is
	// noticed within a minute. In the first 45 seconds the first third of the run is left out, in
	// which the pace is looked for.
	memory = 30.0
	// cycles is how many of the longest pieces, each a pause and what came after it, the memory
	// holds at least.
	cycles = 3

	// likeness is how much the bytes a file of what was done may differ from those of the rest, and
	// still be the same.
	likeness = 0.15

	// sample is how many seconds of either kind are needed to distinguish them.
	sample = 3.0

	// A file costs at least an answer, and bytes at least their way through a line. These are
	// guesses, in seconds, of what nothing was seen of yet. Where they would matter there is no
	// prediction.
	costOfFile = 0.01
	costOfByte = 1.0 / (10 << 20)
	// doubtful is the share of a prediction that may be guessed.
	doubtful = 0.25
	// smallMean is the mean size up to which a file costs what its answer costs: two round trips of
	// a connection that starts slowly. From largeMean on it costs what its bytes cost, at 20 MiB/s
	// as much as a quick answer.
	smallMean = 32 << 10
	largeMean = 256 << 10
)

// ByBytes reports whether the time that such files take goes with their bytes.
func ByBytes(files, bytes int64) bool { return files > 0 && bytes/files >= largeMean }

// work is files and bytes, and the seconds that they took.
type work struct{ files, bytes, seconds float64 }

func (w work) minus(v work) work {
	return work{w.files - v.files, w.bytes - v.bytes, w.seconds - v.seconds}
}

func (w work) plus(v work) work {
	return work{w.files + v.files, w.bytes + v.bytes, w.seconds + v.seconds}
}

// done is the work of a run so far. Skipped items took no time: they are not among it.
func (s *Snapshot) done() work {
	return work{
		float64(s.Ended() - s.Skipped), float64(s.Bytes + s.LostBytes - s.SkippedBytes),
		s.Elapsed.Seconds(),
	}
}

// parts is how many files the parts of those are together that are under way: one that takes ten
// seconds is not done in the instant in which it ends.
func (s *Snapshot) parts() (files float64) {
	for _, u := range s.Underway {
		if u.Size > 0 {
			files += float64(u.Done) / float64(u.Size)
		}
	}
	return files
}

// like returns 1 if w has more bytes a file than v, -1 if it has fewer, and 0 if there is little
// difference.
func (w work) like(v work) int {
	switch is, want := w.bytes*v.files, v.bytes*w.files; {
	case is > want*(1+likeness):
		return 1
	case is < want*(1-likeness):
		return -1
	}
	return 0
}

// history is what was done lately. It predicts how long other work takes.
//
// Time goes with the files where they are small, and with the bytes where they are large; which of
// it counts, and how much, may differ between what was done and what is left. So history keeps
// pieces: those with more bytes a file than the rest, and those with fewer, are put together so
// that they make up the rest. Nothing is assumed on how files and bytes cost time.
type history struct {
	pieces []piece // the oldest first
	open   piece   // since the last piece
	sum    float64 // seconds of the pieces

	collected float64 // seconds since something was done in the open piece
}

type piece struct {
	work
	paused bool // a pause is in it
	fresh  bool // it began when a pause ended: what it has was saved up meanwhile
}

func (p piece) moved() bool { return p.files > 0 || p.bytes > 0 }

// add adds what was done, and whether the server wanted nothing meanwhile.
func (h *history) add(d work, paused bool) {
	h.open.work = h.open.plus(d)
	h.open.paused = h.open.paused || paused
	if h.open.moved() {
		if h.collected += d.seconds; h.collected >= shortest {
			h.close()
		}
	}
}

func (h *history) close() {
	h.sum += h.open.seconds
	h.pieces = append(h.pieces, h.open)
	h.open, h.collected = piece{}, 0
	longest := 0.0
	for _, p := range h.pieces {
		longest = max(longest, p.seconds)
	}
	for len(h.pieces) > fewestPieces && h.sum-h.pieces[0].seconds >= 2*max(memory, cycles*longest) {
		h.sum -= h.pieces[0].seconds
		h.pieces = h.pieces[1:]
	}
}

// resumed notes the end of a pause, which belongs to what was done before it.
func (h *history) resumed() {
	if n := len(h.pieces); n > 0 {
		p := &h.pieces[n-1]
		p.work = p.plus(h.open.work)
		p.paused = true
		h.sum += h.open.seconds
	} else if h.open.seconds > 0 {
		h.close()
	}
	h.open, h.collected = piece{fresh: true}, 0
}

// predict returns how many seconds the rest takes, and whether that can be said. A pause that is in
// force and is one of many lasts that much longer.
func (h *history) predict(rest work, pause, elapsed float64) (left float64, ok bool) {
	pieces, open := h.pieces, h.open
	open.seconds += pause
	longest := 0.0
	for _, p := range pieces {
		longest = max(longest, p.seconds)
	}
	// Between two answers nothing is seen to be done: this time is a part of what is to come, up to
	// the longest such time.
	behind := h.open.seconds
	if open.seconds > longest || open.paused {
		pieces = append(pieces[:len(pieces):len(pieces)], open)
		longest = max(longest, open.seconds)
		behind = -pause
	} else {
		rest = rest.plus(open.work)
	}
	var all, dense, alike, thin work // dense has more bytes a file than the rest, thin has fewer
	paused := false
	for i := len(pieces) - 1; i >= 0; i-- {
		p := pieces[i]
		paused = paused || p.paused
		switch p.like(rest) {
		case 1:
			dense = dense.plus(p.work)
		case -1:
			thin = thin.plus(p.work)
		default:
			alike = alike.plus(p.work)
		}
		all = all.plus(p.work)
		if all.seconds >= max(min(memory, elapsed*2/3), cycles*longest) &&
			(all.files >= fewestFiles || len(pieces)-i >= fewestPieces) &&
			(!paused || p.fresh) { // a pause and what was done before it count together
			break
		}
	}
	if thin == (work{}) {
		thin = alike
	} else {
		dense = dense.plus(alike)
	}
	if all.like(rest) != 0 && dense.seconds >= sample && thin.seconds >= sample {
		left, ok = together(dense, thin, rest)
	} else {
		left, ok = all.extrapolate(rest)
	}
	return max(0, left-behind), ok && len(h.pieces) > 0
}

// together returns how long the rest takes, which consists of what dense and thin consist of.
func together(dense, thin, rest work) (left float64, ok bool) {
	det := thin.files*dense.bytes - dense.files*thin.bytes
	if det <= 0 {
		return 0, false
	}
	a := (thin.files*rest.bytes - thin.bytes*rest.files) / det
	b := (dense.bytes*rest.files - dense.files*rest.bytes) / det
	return max(0, a)*dense.seconds + max(0, b)*thin.seconds, true
}

// extrapolate returns how long the rest takes if it is about like w. What it has more of costs as
// much as in w if that is what w was about. Else its cost is guessed, and where that would be too
// much of the whole there is no answer.
func (w work) extrapolate(rest work) (left float64, ok bool) {
	if w.files <= 0 && w.bytes <= 0 {
		return 0, false
	}
	// These may be infinite, or no number.
	byFiles, byBytes := rest.files/w.files*w.seconds, rest.bytes/w.bytes*w.seconds
	var guess float64
	switch denser := rest.bytes*w.files >= w.bytes*rest.files; {
	case w.bytes <= 0, !denser && w.bytes < smallMean*w.files:
		return byFiles, true
	case w.files <= 0 && rest.files <= 0, denser && w.bytes >= largeMean*w.files:
		return byBytes, true
	case denser:
		left = byFiles
		guess = min(byBytes-left, (rest.bytes-rest.files/w.files*w.bytes)*costOfByte)
	default:
		left = byBytes
		guess = min(byFiles-left, (rest.files-rest.bytes/w.bytes*w.files)*costOfFile)
	}
	return left + guess/2, guess <= doubtful*(left+guess)
}
