package lab

import (
	"fmt"
	"io"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"time"
)

var flakyPreset = preset{Preset{
	Name:    "flaky",
	Summary: "a share of the requests fails, each in one of the ways in which uploads fail",
	Params: []Param{
		{"500", "0.05", "share: the body is read and not stored, the answer is 500"},
		{"502", "0", "share: the same with 502"},
		{"504", "0", "share: the same with 504"},
		{"500-after", "0", "share: the body is stored, the answer is 500"},
		{"502-after", "0", "share: the same with 502"},
		{"504-after", "0", "share: the same with 504"},
		{"408", "0", "share: the answer is 408, before the body is read"},
		{"425", "0", "share: the same with 425"},
		{"429", "0", "share: the same with 429"},
		{"503", "0", "share: the same with 503"},
		{"hot", "none", "names that contain this are refused always"},
		{"hot-status", "503", "status of that: 429, 500, 502, 503 or 504"},
		{"retry-after", "none", "seconds that a 429 or 503 asks for"},
		{"reset-before", "0.02", "share: the connection is reset before the body is read"},
		{"reset-in", "0.02", "share: the connection is reset in the middle of the body"},
		{"reset-after", "0.02", "share: the body is stored, then the connection is reset"},
		{"truncated", "0.02",
			"share: the body is stored, the answer's head is sent and its body cut off"},
		{"stalled", "0", "share: the body is read, then nothing happens for a while"},
		{"stall", "5m",
			"for how long; then the body is stored and answered if the client is still there"},
		{"seed", "1", "of the random choice"},
	},
}, func(v *values) rule {
	f := &flaky{
		stall:      v.duration("stall", 0),
		hot:        v.text["hot"],
		hotStatus:  v.status("hot-status", 429, 500, 502, 503, 504),
		retryAfter: v.retryAfter("retry-after"),
		rnd:        rand.New(rand.NewPCG(v.seed(), 0)),
	}
	sum := 0.0
	for i, kind := range faultKinds {
		f.shares[i] = v.share(kind)
		sum += f.shares[i]
	}
	if v.err == nil && sum > 1+1e-9 {
		v.err = fmt.Errorf("lab: flaky: the shares of the faults add up to %.3g: want 1 at most",
			sum)
	}
	return f
}}

var faultKinds = [...]string{
	"500", "502", "504", "500-after", "502-after", "504-after", "408", "425", "429", "503",
	"reset-before", "reset-in", "reset-after", "truncated", "stalled",
}

type flaky struct {
	shares     [len(faultKinds)]float64
	stall      time.Duration
	hot        string
	hotStatus  int
	retryAfter int

	mu  sync.Mutex
	rnd *rand.Rand // protected by mu
}

// pick chooses a fault for the next request, "" for none.
func (f *flaky) pick() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	at := f.rnd.Float64()
	for i, share := range f.shares {
		if at < share {
			return faultKinds[i]
		}
		at -= share
	}
	return ""
}

func (f *flaky) serve(x *exchange) {
	kind := f.pick()
	if f.hot != "none" && strings.Contains(Name(x.r.URL), f.hot) {
		kind = strconv.Itoa(f.hotStatus)
	}
	if kind == "" {
		x.accept()
		return
	}
	x.ledger.fault(kind)
	status, _ := strconv.Atoi(strings.TrimSuffix(kind, "-after"))
	switch kind {
	case "500", "502", "504":
		x.read(nil)
		x.refuse(status, -1)
	case "500-after", "502-after", "504-after":
		x.read(nil)
		x.keep()
		x.refuse(status, -1)
	case "408", "425":
		x.refuse(status, -1)
	case "429", "503":
		x.refuse(status, f.retryAfter)
	case "reset-before":
		x.reset()
	case "reset-in":
		io.CopyN(io.Discard, x.r.Body, max(x.r.ContentLength/2, 1))
		x.reset()
	case "reset-after":
		x.read(nil)
		x.keep()
		x.reset()
	case "truncated":
		x.read(nil)
		x.keep()
		x.truncate()
	case "stalled":
		x.read(nil)
		if x.admit() {
			if !f.wait(x) {
				x.breakOff()
			}
			x.store()
		}
		x.answer()
	}
}

// wait reports whether the client outlasted the stall. It cannot be exchange.sleepUntil, which does
// not look at the client.
func (f *flaky) wait(x *exchange) bool {
	timer := time.NewTimer(f.stall)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-x.r.Context().Done():
	case <-x.closing:
	}
	return false
}
