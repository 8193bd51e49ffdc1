// Package plan holds what is known before a run: the items, the URL, the rules. From that it
// derives the dry run, the earliest end, and which server gets the credentials. It sends nothing
// and changes nothing.
package plan

import (
	"math"
	"net/http"
	"strings"
	"time"

	"golang.org/x/time/rate"

	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/internal/journal"
	"github.com/penstock/penstock/internal/nethttp"
	"github.com/penstock/penstock/internal/resume"
	"github.com/penstock/penstock/internal/source"
	"github.com/penstock/penstock/internal/status"
	"github.com/penstock/penstock/internal/verify"
	"github.com/penstock/penstock/internal/wire"
	"github.com/penstock/penstock/throttle"
)

// Work is what a run is to do. Source must be set.
type Work struct {
	To     string // where to, as people may see it: a URL template, or a manifest that has all URLs
	Source *source.Source
	Found  source.Summary // by Source.Scan
	Shard  item.Shard     // that Source keeps to

	Limits  throttle.Limits
	MaxWait time.Duration // that a server may ask for; if zero, no limit
	// SharedQuota names one that other runs share, for people. If empty, none is.
	SharedQuota string
	SharedRate  rate.Limit // of all of them; if zero, not known

	Network wire.Network
	Header  http.Header // sent with each item; its values may be secrets
	// HeaderOrigin is the server that gets Header, and no other does. If empty, the items are known
	// to go to one server.
	HeaderOrigin string

	resume.Rules      // Recall sets Asks and LastRun
	Verify       bool // ask the server about items that it may have accepted
	NoOverwrite  bool // have the server refuse what it has
}

// Recall sets what the rules have to know of earlier runs, and returns by origin the waits that
// servers asked for then.
func (w *Work) Recall(j interface {
	Earlier() journal.Earlier
	Waits() []journal.Wait
}) map[string]journal.Wait {
	w.Asks, w.LastRun = w.CanAsk, j.Earlier().Last
	waits := make(map[string]journal.Wait)
	for _, asked := range j.Waits() {
		waits[asked.Origin] = asked
	}
	return waits
}

// Repeatable reports whether it does no harm if an item is processed twice.
func (w *Work) Repeatable(method string) bool { return w.Idempotency.Repeatable(method) }

// Harmless reports whether a request may be sent again whenever, whatever became of it: not if that
// depends on the age of a key, nor if the answer then would be another.
func (w *Work) Harmless(method string) bool {
	return !w.NoOverwrite && nethttp.Idempotent(method)
}

// Declined reports whether a server answered that it has a file at the URL already, as NoOverwrite
// asked it to. Such an answer counts as a refusal neither of the file nor of the pace.
func (w *Work) Declined(status int) bool {
	return w.NoOverwrite && status == http.StatusPreconditionFailed
}

// DescribeJournal says where the journal is and what earlier runs have left there.
func (w *Work) DescribeJournal(j *journal.Journal, now time.Time) string {
	// What is in flight is not noted then. Lines of a manifest may have another method.
	e := j.Earlier()
	resent := e.Counts[item.InFlight] == 0 && w.Only == 0 && !w.Source.OwnURLs() &&
		w.Harmless(w.Source.Method())
	return status.Journal(j.Path(), e, resent, now)
}

// WaitsUntil reports whether a run waits that long for a server. If not, it sends nothing to that
// server.
func (w *Work) WaitsUntil(until, now time.Time) bool { return until.Sub(now) <= Forever(w.MaxWait) }

// Forever returns d, or the longest duration where it is zero.
func Forever(d time.Duration) time.Duration {
	if d == 0 {
		return math.MaxInt64
	}
	return d
}

// CanAsk reports whether the server can be asked if it has an item, and is to be.
func (w *Work) CanAsk(it item.Item) bool { return w.Verify && verify.OwnURL(it, w.Shared()) }

// Shared reports whether all items may go to one URL.
func (w *Work) Shared() bool { return !strings.Contains(w.To, "{") }

// CheckVerify returns an error if Verify is set and the server can be asked about no item.
func (w *Work) CheckVerify() error {
	if !w.Verify || !w.Shared() {
		return nil
	}
	n := 0
	if !w.Found.Partial { // standard input is read once
		for it, err := range w.Source.Items() {
			if err != nil {
				continue // it is reported when its turn comes
			}
			if n++; verify.OwnURL(it, true) {
				return nil
			}
		}
	}
	if n == 0 && !(w.Found.Partial && nethttp.SharesURL(w.Source.Method())) {
		return nil
	}
	return status.NothingToAsk(w.Source.OwnURLs())
}

// Identified reports whether servers are shown something for all items that says who we are.
func (w *Work) Identified() bool { return len(w.Header) > 0 || w.Network.Certified() }

// HeaderOrigin returns which server gets the headers, the token and the certificate that were given
// for all items, where a manifest may name any server: the one of the URL for all lines, or the
// only one that the lines name. It does not guess one of several.
func HeaderOrigin(to string, lines *source.Source) (string, error) {
	if to != "" {
		return nethttp.OriginOf(to), nil
	}
	if stream := lines.Stream(); stream != "" {
		return "", status.OriginOfStream(stream)
	}
	whole, err := lines.Whole() // on each machine the same server, or none
	if err != nil {
		return "", err
	}
	var home string
	for it, err := range whole.Items() {
		if err != nil {
			continue // it is reported when its turn comes
		}
		origin := nethttp.OriginOf(it.URL)
		switch {
		case home == "":
			home = origin
		case origin != home:
			return "", status.SeveralOrigins(home, origin)
		}
	}
	return home, nil
}

// Exposed returns a warning about what is secret and goes to a server without encryption; "" if
// nothing given for all items does. What single items have of their own is not looked at.
func (w *Work) Exposed() string {
	to := w.To
	if w.HeaderOrigin != "" {
		to = w.HeaderOrigin
	}
	return status.Exposed(to, w.Header, w.Network.Certified())
}

// DescribeWait says what a wait that a server asked for in an earlier run means for this one.
func (w *Work) DescribeWait(asked journal.Wait, now time.Time) string {
	return status.WouldWait(asked, w.WaitsUntil(asked.Until, now), w.MaxWait, now)
}
