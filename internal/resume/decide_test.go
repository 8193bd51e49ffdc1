package resume

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/internal/journal"
)

// The cases of TestDecide. On the left are the state of the row, if there is one, and what is
// unusual about it; the method of the item; and what the user wants. On the right is the decision.
const decisions = `
# Nothing is known, or it was delivered.
PUT -> send, new
POST --again -> send, new, epoch again
delivered PUT -> skip: arrived
delivered touched PUT -> send, doubt, older
delivered touched POST -> send, older
delivered touched POST --idempotent -> send, doubt, older
delivered resized PUT -> send, older
delivered PUT --again -> send, epoch again
delivered PUT --again-old -> skip: arrived
delivered older PUT --again -> send, epoch again, older

# Items that differ in nothing that counts are one item, unless what does not count may matter.
twice PUT -> skip: repeated
delivered twice POST query -> fail: ambiguous, kept
twice PUT header -> fail: ambiguous, kept
twice POST body -> skip: repeated
twice POST body line -> fail: ambiguous body, kept
twice PUT --only=failed -> skip: repeated
twice POST keyed -> fail: duplicate, kept
twice POST keyed header --only=failed -> fail: duplicate, kept

# With a digest the content decides, unless the size tells already, or headers may have changed.
delivered touched PUT --digest -> send, doubt, older, digest sum, arrived
delivered touched undigested PUT --digest -> send, doubt, older
delivered resized PUT --digest -> send, older
delivered elsewhere PUT --digest -> send, doubt, older, digest sum, arrived
delivered elsewhere PUT header --digest -> send, doubt, older
delivered elsewhere POST header --digest -> send, older, digest sum, arrived
delivered touched PUT --digest --again -> send, epoch again, doubt, older
in_flight PUT --digest -> send, key k, doubt, since first
in_flight touched PUT --digest -> send, key k, doubt, since first, older, digest sum
in_flight touched undigested PUT --digest -> send, doubt, older
in_flight resized PUT --digest -> send, older
in_flight elsewhere PUT header --digest -> send, doubt, older
in_flight touched PUT --digest --again -> send, epoch again, doubt, older
in_flight touched POST --digest -> leave: cut off, key k, doubt, since first, older, digest sum
in_flight touched POST --idempotent --digest -> send, key k, doubt, since first, older, digest sum
deferred doubt touched PUT --digest -> send, key k, doubt, since first, older, digest sum
failed doubt touched PUT --digest -> send, key k, doubt, since first, older, digest sum
failed 422 touched POST --idempotent --digest -> send, epoch last, since first, digest sum
unknown touched PUT --digest -> send, key k, doubt, since first, older, digest sum

# --only
failed PUT --only=failed -> send, epoch last, since first, selected as failed
failed touched PUT --only=failed -> send, selected as failed
in_flight PUT --only=unknown --only=in_flight -> send, key k, doubt, selected as in_flight
delivered PUT --only=failed -> skip: excluded
PUT --only=failed -> skip: excluded
delivered PUT --only=failed --again -> skip: excluded

# A new key after a refusal: a server may replay its answer to a key that it knows.
failed 422 PUT -> send, epoch last, since first, failed by 422
failed 422 POST --idempotent -> send, epoch last, since first, failed by 422
failed 422 POST --idempotent --again -> send, epoch again, since first, failed by 422
failed 422 POST --idempotent --again-old -> send, epoch last, since first, failed by 422
failed 422 touched POST --idempotent -> send

# In doubt is also what failed, or was deferred, after an attempt that may have been accepted.
failed doubt POST -> leave: in doubt, key k, doubt, since first
failed doubt POST --idempotent -> send, key k, doubt, since first
failed doubt 422 PUT -> send, key k, doubt, since first, failed by 422
failed doubt touched POST -> leave: in doubt, key k, doubt, since first, older
failed doubt touched PUT -> send, doubt, older
deferred POST --idempotent -> send, key k, since first
# What is in doubt is the content before it was touched, and nothing was sent since.
failed doubt unsent keyless POST --idempotent -> send, doubt
deferred doubt unsent keyless POST --idempotent -> send, doubt
# It was to be sent whatever its key is worth, and was not.
deferred doubt unsent POST --idempotent -> leave: key forgotten, key k, doubt
deferred doubt POST -> leave: in doubt, key k, doubt, since first
deferred doubt touched PUT -> send, doubt, older
deferred doubt resized PUT -> send, older
deferred touched POST --idempotent -> send
deferred touched POST -> send

# What may be repeated is sent again, unless its key is too old.
in_flight PUT -> send, key k, doubt, since first
in_flight keyless POST --idempotent -> leave: cut off, doubt, since first
in_flight keyed unsent-key POST --idempotent -> leave: cut off, doubt, since first
in_flight keyless POST --idempotent --resend -> send, doubt
in_flight keyless PUT --idempotent -> send, doubt, since first
in_flight keyed POST --idempotent -> send, key k, doubt, since first
in_flight keyed more POST --idempotent -> send, key k-1, doubt, since first
in_flight rekeyed POST --idempotent -> send, doubt, since first
delivered touched keyed POST --idempotent -> send, epoch last, doubt, older
failed touched keyed POST --idempotent -> send, epoch last
failed resized keyed POST --idempotent -> send, epoch last
in_flight POST -> leave: cut off, key k, doubt, since first
in_flight POST --idempotent -> send, key k, doubt, since first
in_flight old POST --idempotent -> leave: key forgotten, key k, doubt, since old
in_flight future POST --idempotent -> leave: key forgotten, key k, doubt, since future
in_flight POST --idempotent set-back -> leave: key forgotten, key k, doubt, since first
in_flight old PUT --idempotent set-back -> send, key k, doubt, since old
in_flight old POST --idempotent --resend -> send, key k, doubt
in_flight POST --verify -> ask: cut off, key k, doubt, since first, ended run
in_flight PUT --verify -> send, key k, doubt, since first
in_flight old POST --idempotent --verify -> ask: cut off, key k, doubt, since old, ended run

# With another date it is another content, except where it would do harm to be wrong about that. If
# the server has a file there, it may be this one.
in_flight touched PUT -> send, doubt, older
in_flight touched POST -> leave: cut off, key k, doubt, since first, older
in_flight touched POST --idempotent -> send, doubt, older
in_flight resized POST -> send, older
in_flight older PUT -> send, key k, doubt, since first, older

# What an earlier run has reported as unknown is left to the user, or the server is asked.
unknown POST -> leave: in doubt, kept, key k, doubt, since first
unknown PUT -> leave: in doubt, kept, key k, doubt, since first
unknown POST --idempotent -> leave: in doubt, kept, key k, doubt, since first
unknown old POST --idempotent -> leave: key forgotten, kept, key k, doubt, since old
unknown POST --resend -> send, key k, doubt
unknown POST --only=unknown -> send, key k, doubt, selected as unknown
unknown POST --again -> send, epoch again, doubt
unknown POST --again-old -> leave: in doubt, kept, key k, epoch old, doubt, since first
unknown POST --verify -> ask: in doubt, key k, doubt, since first, ended run
unknown POST --verify --resend -> ask: in doubt, key k, doubt, since first, ended run, resend
unknown POST --verify --again -> send, epoch again, doubt
unknown POST --verify --again-old -> ask: in doubt, key k, epoch old, doubt, since first, ended run
unknown 422 POST --verify killed -> ask: in doubt, 422, key k, doubt, since first, ended last
unknown touched POST --verify -> ask: in doubt, key k, doubt, since first, older, ended run
unknown resized POST --verify -> send, older
unknown touched PUT -> send, doubt, older
`

var (
	now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

	// What a row has unless its words say otherwise, and the end of the run before.
	first, last, ended = now.Add(-3 * time.Hour), now.Add(-2 * time.Hour), now.Add(-time.Hour)
	old, future        = now.Add(-25 * time.Hour), now.Add(time.Hour)
)

func TestDecide(t *testing.T) {
	for line := range strings.Lines(decisions) {
		words, want, ok := strings.Cut(strings.TrimSpace(line), " -> ")
		if !ok {
			continue
		}
		row, it, rules := parse(words)
		if got := Decide(row, it, rules, now).words(); got != want {
			t.Errorf("%s -> %s, want %s", words, got, want)
		}
	}
}

func parse(words string) (row Row, it item.Item, rules Rules) {
	it = item.Item{URL: "http://h/f", Path: "/d/f", Fingerprint: item.Fingerprint{Size: 5}}
	row = Row{Same: true, Item: journal.Item{
		Attempts: 3, First: first, Last: last, Key: "k", Digest: []byte("sum"),
		Fingerprint: journal.Fingerprint{Size: 5, Mark: FingerprintOf(it).Mark},
	}}
	rules.LastRun = ended
	for word := range strings.FieldsSeq(words) {
		switch word {
		case "PUT", "POST":
			it.Method = word
		case "query":
			it.URL += "?v=1"
		case "header":
			it.Header = http.Header{"X-Set": {"1"}}

		case "body":
			it.Rest = 7
		case "line":
			it.Line = 3
		case "keyed":
			it.Key = "k"
		case "twice":
			row.Twice = true
		case "touched":
			row.Same = false
		case "resized":
			row.Same, row.Size = false, 6
		case "elsewhere":
			row.Same, row.Mark = false, 1
		case "undigested":
			row.Digest = nil
		case "doubt":
			row.Doubt = true
		case "older":
			row.Older = true
		case "422":
			row.HTTPStatus = 422
		case "old":
			row.First = old
		case "future":
			row.First = future
		case "unsent":
			row.First = time.Time{}
		case "keyless":
			row.Key = ""
		case "unsent-key":
			row.KeyUnsent = true
		case "more":
			row.KeyMore = "k-1"
		case "rekeyed":
			it.Key = "other"

		case "--again":
			rules.Again = now
		case "--again-old": // the run that goes on had its turn at the item
			rules.Again = old
		case "--resend": // -unknown
			rules.ResendUnknown = true
		case "--digest":
			rules.Digest = true
		case "--verify":
			rules.Asks = func(item.Item) bool { return true }
		case "--idempotent":
			rules.Idempotency = Idempotency{Header: "Idempotency-Key", Lifetime: 24 * time.Hour}
		case "set-back": // of the clock, since the run before
			rules.LastRun = future
		case "killed": // the run before, and had recorded nothing after this
			rules.LastRun = first
		default:
			name, only := strings.CutPrefix(word, "--only=")
			state, err := item.Parse(name)
			switch {
			case err != nil:
				panic(err)
			case only:
				rules.Only |= item.FatesOf(state)
			default:
				row.State = state
			}
		}
	}
	if row.State == item.None {
		row = Row{Twice: row.Twice}
	}
	return row, it, rules
}

// words says all of a decision.
func (d Decision) words() string {
	text := [...]string{"send", "ask", "skip", "fail", "leave"}[d.Do]
	add := func(is bool, format string, args ...any) {
		if is {
			text += fmt.Sprintf(format, args...)
		}
	}
	at := func(name string, t time.Time) {
		for known, at := range map[string]time.Time{
			"again": now, "first": first, "last": last, "run": ended, "old": old,
			"future": future,
		} {
			add(t.Equal(at), ", %s %s", name, known)
		}
	}
	why := [...]string{"", "arrived", "excluded", "repeated", "duplicate", "ambiguous",
		"ambiguous body", "in doubt", "cut off", "key forgotten"}[d.Why]
	add(why != "", ": %s", why)
	add(d.Kept, ", kept")
	add(d.HTTPStatus > 0, ", %d", d.HTTPStatus)
	add(d.Do != Skip && d.Do != Fail && d.Attempts == 0, ", new")
	add(d.Key != "", ", key %s", d.Key)
	at("epoch", d.KeyEpoch)
	add(d.Doubt, ", doubt")
	at("since", d.First)
	add(d.Older, ", older")
	add(d.Sent != nil, ", digest %s", d.Sent)
	add(d.Arrived, ", arrived")
	add(d.Selected != item.None, ", selected as %s", d.Selected)
	add(d.FailedBy > 0, ", failed by %d", d.FailedBy)
	at("ended", d.Ended)
	add(d.Resend, ", resend")
	return text
}

// peeked is a journal that has one claim.
type peeked journal.Claim

func (p peeked) Peek(uint64, journal.Fingerprint) journal.Claim { return journal.Claim(p) }

func TestBefore(t *testing.T) {
	failed, again := item.FatesOf(item.Failed), Rules{Again: time.Unix(1, 0)}
	for _, c := range []struct {
		rules Rules
		has   peeked
		want  item.Fate
	}{
		{Rules{}, peeked{State: item.Failed, Same: true}, item.Failed},
		{Rules{}, peeked{State: item.Failed}, item.None},
		{Rules{}, peeked{State: item.Failed, Same: true, Twice: true}, item.None},
		{Rules{Only: failed}, peeked{State: item.Failed, Same: true}, item.None},
		{Rules{}, peeked{State: item.Delivered, Same: true}, item.Delivered},
		{again, peeked{State: item.Delivered, Same: true}, item.None},
		{again, peeked{State: item.Failed, Same: true}, item.Failed},
	} {
		if got := c.rules.Before(c.has, item.Item{}); got != c.want {
			t.Errorf("%+v, %+v: %v", c.rules, c.has, got)
		}
	}
}

// What a run with --only does not settle is selected again by the same words.
func TestDeferred(t *testing.T) {
	for _, c := range []struct {
		past Past
		want item.Fate
	}{
		{Past{}, item.Deferred},
		{Past{Doubt: true}, item.Deferred},
		{Past{Selected: item.Failed}, item.Failed},
		{Past{Selected: item.Failed, Doubt: true}, item.Failed},
		{Past{Selected: item.Unknown, Doubt: true}, item.Unknown},
		{Past{Selected: item.InFlight, Doubt: true}, item.Unknown},
		{Past{Selected: item.Unknown}, item.Deferred}, // changed, or the server does not have it
		{Past{Selected: item.Delivered, Doubt: true}, item.Deferred},
		{Past{Selected: item.Deferred, Doubt: true}, item.Deferred},
	} {
		if got := c.past.Deferred(); got != c.want {
			t.Errorf("%+v: %s, want %s", c.past, got, c.want)
		}
	}
}
