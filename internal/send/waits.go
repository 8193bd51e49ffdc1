package send

import (
	"time"

	"github.com/penstock/penstock/internal/journal"
	"github.com/penstock/penstock/internal/nethttp"
	"github.com/penstock/penstock/internal/status"
)

const (
	// shortWait is over before a user starts another run.
	shortWait = 5 * time.Second
	// keptWait is the longest wait that later runs obey. A longer one is more likely a fault of the
	// server, and would stop every run until somebody removes the journal.
	keptWait = 48 * time.Hour
)

// keepWait has later runs obey a server that asked us to wait.
func (r *run) keepWait(origin string, now, until time.Time) {
	if r.Journal == nil || until.Sub(now) < shortWait {
		return
	}
	if most := now.Add(keptWait); until.After(most) {
		until = most
	}
	r.Journal.KeepWait(journal.Wait{Origin: origin, Asked: now, Until: until})
}

// obey has a job wait for as long as its server asked for in an earlier run. It is for submit.
func (r *run) obey(j *job) {
	if len(r.waits) == 0 && !r.Source.OwnURLs() {
		return
	}
	origin := nethttp.OriginOf(j.item.URL)
	w, ok := r.waits[origin]
	wait := w.Until
	now := time.Now()
	s := r.servers.Of(origin) // known from now on: the run does not end while it may take something
	if !ok {
		return
	}
	j.server = s
	if !s.AskedEarlier(now, wait) || !wait.After(now) {
		return
	}
	if r.WaitsUntil(wait, now) { // else that is why the server's files are left
		r.Log.Info(status.AskedEarlier(origin, wait, now) + "; paused until then")
	}
	s.Pause(wait, "an earlier run")
}
