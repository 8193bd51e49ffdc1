package upstream

import "time"

// Probers is how many workers stand in for those whose items a server refused.
const Probers = 8

// mostProbes bounds how many files are read ahead to find one that is accepted. Each takes a worker
// and an open file.
const mostProbes = 512

// probes are requests that a server refused one after the other, each sent after the one before was
// refused. They may mean that it is down, or that they are refused themselves: where a hundred bad
// files come first in a list, the next to be tried has to come from further on. So each of them
// doubles the workers, and with them the files, from which throttle sends the newest. These stay
// until the server has accepted many in a row: what the others had at the front of the list is
// still to be tried.
type probes struct {
	row     row
	longest int // of these rows
	calm    int // accepted since the last refusal
}

// refused records a request that a server answered, and did not accept.
func (p *probes) refused(sent, now time.Time) {
	p.calm = 0
	p.row.refuse(sent, now)
	p.longest = max(p.longest, p.row.n)
}

// accepted records a request that was accepted.
func (p *probes) accepted() {
	p.row.n = 0
	if p.calm++; p.calm > p.standIns() {
		p.longest = 0
	}
}

// standIns returns how many workers are needed beside those whose files are refused.
func (p *probes) standIns() int {
	if p.longest < 2 { // one refusal is nothing special
		return 0
	}
	return min(Probers<<min(p.longest-2, 10), mostProbes)
}
