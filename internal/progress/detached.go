package progress

import (
	"context"
	"sync"

	"github.com/penstock/penstock/internal/queue"
)

// maxTalk bounds the log in memory that waits for a reader; what exceeds it is dropped.
const maxTalk = 1 << 20

// A Detached is a Sink none of whose methods blocks, whatever becomes of the output: a pipe that
// nobody reads, or a terminal that is paused, stops what is shown and not the run.
type Detached struct {
	p   Sink
	out queue.Queue

	mu    sync.Mutex
	state *Snapshot // the newest one, while it is not shown yet
	lost  int       // lines that were dropped
}

// Detach returns a Sink that shows everything through p.
func Detach(p Sink) *Detached { return &Detached{p: p} }

func (d *Detached) Update(s Snapshot) {
	d.mu.Lock()
	defer d.mu.Unlock()
	waits := d.state != nil
	d.state = &s
	if waits {
		return
	}
	d.out.Add(0, func() {
		d.mu.Lock()
		s := *d.state
		d.state = nil
		d.mu.Unlock()
		d.p.Update(s)
	})
}

func (d *Detached) Log(line string) {
	if d.out.Held()+len(line) > maxTalk {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.lost++
		return
	}
	d.out.Add(len(line), func() { d.p.Log(line) })
}

// Lost is how many log lines were dropped since they were not read.
func (d *Detached) Lost() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.lost
}

func (d *Detached) Close() { d.out.Add(0, d.p.Close) }

// Wait waits until everything so far is shown.
func (d *Detached) Wait() { _ = d.out.Drain(context.Background()) }
