// Package resume decides what a run does with an item by what the journal has of it from earlier
// runs. It also makes an item's identity, fingerprint and idempotency key. It asks no server, opens
// no file, and has no clock and no words for people.
package resume

import (
	"errors"
	"strings"
	"time"

	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/internal/journal"
	"github.com/penstock/penstock/internal/nethttp"
)

// An Action is what a run does with an item.
type Action uint8

const (
	Send  Action = iota
	Ask          // the server is asked whether it has the item, and it is sent if that is safe
	Skip         // there is nothing to do, or the user does not want it done
	Fail         // it cannot be sent
	Leave        // it may have arrived, and is not sent again unless the user says so
)

// A Reason says why an item is not simply sent.
type Reason uint8

const (
	None          Reason = iota
	Arrived              // Skip: it was delivered by an earlier run, and is the same
	Excluded             // Skip: Rules.Only leaves it out
	Repeated             // Skip: it is another item of this run once more
	Duplicate            // Fail: another item of this run has its key, or its URL
	Ambiguous            // Fail: it differs from another item of this run in nothing that counts
	AmbiguousBody        // Fail: the same, and only its body, but for its file, may differ
	InDoubt              // Ask, Leave: it may have arrived in an earlier run
	CutOff               // Ask, Leave: the same, and that run ended while it was sent
	KeyForgotten         // Leave: the same, and the server may have forgotten its idempotency key
)

// ErrKeyForgotten is KeyForgotten, where that is found out when an item's turn has come.
var ErrKeyForgotten = errors.New("it may have been accepted, " +
	"and the server may have forgotten its idempotency key since")

// Rules are what the user wants done with items of earlier runs, and what a decision has to know of
// the run as a whole.
type Rules struct {
	Again         time.Time  // also what was delivered before this
	ResendUnknown bool       // also what may have been accepted earlier
	Only          item.Fates // what earlier runs have left so; empty: all
	Digest        bool       // each file's SHA-256 is sent along
	Idempotency   Idempotency

	// Asks reports whether a server can be asked if it has an item, and is to be. If nil, none is.
	Asks    func(item.Item) bool
	LastRun time.Time // when the run before ended; if zero, there was none
}

// A Row is what the journal has of an item. Of Item, most decisions need the State alone.
type Row struct {
	journal.Item
	Same  bool // the item is what is on record
	Twice bool // the run has had an item before that is this one by its identity
}

// A Journal has a row of each item that earlier runs took up.
type Journal interface {
	// Claim looks an item up and marks it as taken up by this run.
	Claim(id uint64, f journal.Fingerprint) journal.Claim
	// Load returns the whole row of an item that Claim has found.
	Load(id uint64) (journal.Item, error)
}

// Past is what earlier runs left of an item that is to be sent, and what this run's attempts add to
// it.
type Past struct {
	Attempts int             // requests that earlier runs sent for it
	Key      string          // idempotency key that an earlier attempt was sent with
	KeyEpoch time.Time       // part of a new key: a server replays its answer to one that it knows
	First    time.Time       // when the attempt left that it is in doubt of, or in flight with
	Doubt    bool            // some attempt may have been accepted
	Older    bool            // the server may have it with another content
	Sent     []byte          // SHA-256 of what earlier runs sent, if the content may be the same
	Arrived  bool            // they delivered it
	Receipt  journal.Receipt // what its delivery has left, if it has arrived
	Selected item.Fate       // by which Rules.Only selects the item; None if there is no Only
	FailedBy int             // the status that an earlier run has failed it for
	Ended    time.Time       // of an item to ask about, when its last attempt did; zero: long ago
	Resend   bool            // it is sent even if the server cannot tell whether it has it
}

// Deferred returns what the journal keeps of an item that the run does not settle: where Rules.Only
// selected it, what selects it again.
func (p Past) Deferred() item.Fate {
	switch {
	case p.Selected == item.Failed:
		return item.Failed
	case p.Doubt && (p.Selected == item.Unknown || p.Selected == item.InFlight):
		return item.Unknown
	}
	return item.Deferred
}

// A Decision is what a run does with an item, and why.
type Decision struct {
	Do         Action
	Why        Reason
	HTTPStatus int // of an item in doubt, the answer to its last attempt; 0 if there was none
	// Kept says that the journal has the item's end already, or another's by that name: nothing is
	// to be recorded.
	Kept bool
	// HasReceipt says of an item that has arrived that the journal has something captured.
	HasReceipt bool
	Past
}

// Claim takes an item up for a run and decides about it. The error is that of Load.
func (r Rules) Claim(j Journal, id Identity, it item.Item, now time.Time) (Decision, error) {
	c := j.Claim(id.ID(), FingerprintOf(it))
	row := Row{journal.Item{State: c.State}, c.Same, c.Twice}
	if d, ok := r.decideByState(row, it); ok {
		d.HasReceipt = d.Why == Arrived && c.Receipt
		return d, nil
	}
	var err error
	row.Item, err = j.Load(id.ID())
	row.State = c.State // a row may be gone by now
	d := Decide(row, it, r, now)
	d.HasReceipt = d.Why == Arrived && c.Receipt
	return d, err
}

// Before returns what an earlier run made of an item that has not changed since, None where that
// does not matter to the rules. It does not take the item up.
func (r Rules) Before(j interface {
	Peek(id uint64, f journal.Fingerprint) journal.Claim
}, it item.Item) item.Fate {
	if r.Only == item.FatesOf(item.Failed) {
		return item.None
	}
	c := j.Peek(IdentityOf(it).ID(), FingerprintOf(it))
	if !c.Same || c.Twice || c.State == item.Delivered && !r.Again.IsZero() {
		return item.None
	}
	return c.State
}

// Decide says what a run does with an item.
func Decide(row Row, it item.Item, rules Rules, now time.Time) Decision {
	if d, ok := rules.decideByState(row, it); ok {
		return d
	}
	d := rules.send()
	d.Attempts = row.Attempts
	if rules.Only != 0 {
		d.Selected = row.State
	}
	if row.State == item.Failed && row.Same {
		d.FailedBy = row.HTTPStatus
	}
	doubt := row.Doubt || row.State == item.InFlight || row.State == item.Unknown
	delivered := row.State == item.Delivered
	repeatable := rules.Idempotency.Repeatable(it.Method)
	d.Older = row.Older || !row.Same && (doubt || delivered)
	if !row.Same && it.Key != "" && row.Attempts > 0 && d.KeyEpoch.IsZero() {
		d.KeyEpoch = row.Last // the key is the same with any content
	}
	switch {
	case delivered && row.Same && !rules.again(row):
		return Decision{Do: Skip, Why: Arrived}
	case delivered && row.Same, row.Size != it.Size:
		return d
	}
	// It may only have been touched, or moved. Of a line with headers, or of a request with more
	// than a file, the rest may have changed.
	if !row.Same && rules.Digest && rules.Again.IsZero() &&
		(lineOf(it) == nil && it.Rest == 0 || row.Mark == FingerprintOf(it).Mark) {
		d.Sent, d.Arrived = row.Digest, delivered && row.Digest != nil
		if d.Arrived {
			d.Receipt = row.Receipt()
		}
	}
	switch {
	case delivered:
		d.Doubt = repeatable
		return d
	case !row.Same && d.Sent == nil && (repeatable || !doubt):
		// With another date it is another content, where it is safe to be wrong about that.
		d.Doubt = doubt
		return d
	}
	d.First, d.Doubt = row.First, doubt
	switch {
	case rules.again(row):
	case d.Doubt || row.State != item.Failed:
		if it.Key == "" || it.Key == row.Key {
			d.Key = row.SentKey()
		}
	default:
		d.KeyEpoch = row.Last // a server may replay also its refusals
	}
	if d.Doubt && (row.Same || !repeatable) {
		rules.resend(&d, row, it, now)
	}
	return d
}

// decideByState decides where the state of an item is enough.
func (r Rules) decideByState(row Row, it item.Item) (d Decision, ok bool) {
	switch {
	case row.Twice && it.Key != "":
		return Decision{Do: Fail, Why: Duplicate, Kept: true}, true
	case row.Twice && (it.Header != nil || strings.ContainsAny(it.URL, "?@")):
		return Decision{Do: Fail, Why: Ambiguous, Kept: true}, true
	case row.Twice && it.Line > 0 && it.Rest != 0 && len(it.Fields) == 0: // a body of its own
		return Decision{Do: Fail, Why: AmbiguousBody, Kept: true}, true
	case row.Twice:
		return Decision{Do: Skip, Why: Repeated}, true
	case !r.Only.Choose(row.State):
		return Decision{Do: Skip, Why: Excluded}, true
	case row.State == item.None:
		return r.send(), true
	case row.State == item.Delivered && row.Same && r.Again.IsZero():
		return Decision{Do: Skip, Why: Arrived}, true
	}
	return d, false
}

// again reports whether an item is to be sent again whatever became of it. Since then, it was this
// series of runs that sent it.
func (r Rules) again(row Row) bool { return row.Last.UnixMilli() < r.Again.UnixMilli() }

// send is the decision about an item of which nothing is known.
func (r Rules) send() Decision { return Decision{Past: Past{KeyEpoch: r.Again}} }

// resend decides about an item that may have arrived.
func (r Rules) resend(d *Decision, row Row, it item.Item, now time.Time) {
	again := r.again(row)
	asked := again || r.ResendUnknown || r.Only.Has(item.Unknown)
	asks := !again && r.Asks != nil && r.Asks(it)
	repeatable := r.Idempotency.Repeatable(it.Method)
	// If there is neither, nothing of the present content was sent, and no key can be forgotten.
	sent := !row.First.IsZero() || row.SentKey() != ""
	// By a key that comes only now, the server cannot know the item again.
	keyless := !row.First.IsZero() && row.SentKey() == "" && !nethttp.Idempotent(it.Method)
	forgotten := sent && r.Idempotency.Forgotten(it.Method, d.First, r.LastRun, now)
	switch {
	case asked && !asks:
		d.First = time.Time{} // whatever its key is worth; that it may be there already stays so
		return
	case row.State != item.Unknown && repeatable && !keyless && !forgotten:
		return
	}
	d.Why, d.HTTPStatus = InDoubt, row.HTTPStatus
	if row.State == item.InFlight {
		d.Why = CutOff
	}
	if asks {
		d.Do, d.Resend, d.Ended = Ask, asked, row.Last
		if r.LastRun.After(row.Last) {
			d.Ended = r.LastRun
		}
		return
	}
	d.Do, d.Kept = Leave, row.State == item.Unknown
	if repeatable && !keyless && forgotten {
		d.Why = KeyForgotten
	}
}
