package status

import (
	"fmt"
	"time"

	"github.com/penstock/penstock/internal/human"
	"github.com/penstock/penstock/internal/outbox"
)

// What the relay says of requests that it stores.
const (
	NoSuchRequest = "no stored request has this id: it was withdrawn or dropped, its result is older " +
		"than --keep, or it never was"
	NotWithdrawn   = "the request is being sent or has ended: it can be withdrawn no more"
	RequestMethods = "a stored request takes GET, which says what became of it, and DELETE, which " +
		"withdraws it"
	StoreWorks = "requests can be stored again"
	CutShort   = "the relay was killed while the request was under way, so the server may have " +
		"accepted it: check there before you retry it"
)

// NotStored refuses to store a request that has credentials of its own.
func NotStored(where string) string {
	return fmt.Sprintf("the request has a credential (%s), and credentials are never stored: leave "+
		"it out, and give it to the relay instead (--bearer-file, --header-file), or send the "+
		"request without respond-async", human.Quote(where))
}

// TooLargeToStore refuses to store a body that never fits.
func TooLargeToStore(most int64) string {
	return fmt.Sprintf("the body is longer than all that is stored may be, %s (--store-bytes)",
		human.Size(most))
}

// StoreFull refuses to store one request more.
func StoreFull(waiting, ended int64, size string) string {
	text := fmt.Sprintf("too much is stored already: %s, %s", human.Plural(waiting, "request"),
		size)
	if ended > 0 {
		text += fmt.Sprintf(", and %s ended without being delivered (penstock relay requests)",
			human.Count(ended))
	}
	return text + " (--store-requests, --store-bytes)"
}

// CannotStore says that the store cannot take a request.
func CannotStore(err *outbox.Error) string {
	return "the request cannot be stored, and was not sent: " + Plain(err)
}

// StoredWhy says why a stored request was not delivered.
func StoredWhy(f *Failure) string { return relayWords.Replace(f.String()) }

// StoredFailed warns of a request that came to nothing.
func StoredFailed(request, state, why string, inOrder bool) string {
	text := fmt.Sprintf("the stored request %s: %s: %s", request, state, why)
	if inOrder {
		text += "; its client's others wait until it is retried or dropped (penstock relay requests)"
	}
	return text
}

// HeldUp says why a request waits whose client has asked for an order.
func HeldUp(by string) string {
	return fmt.Sprintf("it is sent after %s, which was not delivered: retry that, or drop it", by)
}

// DeliveryHeld warns that a target takes nothing that is stored.
func DeliveryHeld(target, why string, each time.Duration) string {
	return fmt.Sprintf("stored requests for %s wait, and one is tried each %s: %s", target,
		human.Exact(each), why)
}

// StoredWait says what is to be delivered when a relay starts.
func StoredWait(n int64, oldest time.Duration) string {
	return fmt.Sprintf("%s %s, the oldest for %s", human.Plural(n, "stored request"),
		verb(n, "waits", "wait"), human.Span(oldest))
}

// StoredEnded says how many requests a person has to look at.
func StoredEnded(failed, unknown int64) string {
	return fmt.Sprintf("stored requests that were not delivered: %s: see penstock relay requests",
		human.Join(", ", human.Some(failed, "failed"), human.Some(unknown, "unknown")))
}

// StoredElsewhere says that requests are for a server that is no target.
func StoredElsewhere(n int64, target string) string {
	return fmt.Sprintf("%s %s for %s, which is no target of this relay: kept until it is one",
		human.Plural(n, "stored request"), verb(n, "is", "are"), human.Printable(target))
}

// NoStore says why a relay stores nothing.
func NoStore(err error) string {
	return Plain(err) + ": requests with Prefer: respond-async are not stored, but sent at once; " +
		"to store them, give the relay a directory of its own (--store)"
}

// StoreBroken warns that nothing can be stored.
func StoreBroken(err error) string {
	return Plain(err) + ": until that is over nothing new is stored, what is stored may wait, and " +
		"nothing is lost"
}

func verb(n int64, one, more string) string {
	if n == 1 {
		return one
	}
	return more
}
