// Package hint reads what a response's headers say about sending again: how long to wait, whether
// the answer is a throttle, and which quotas are in force. [Parse] is all there is to call. It is
// pure: no clock, no state, no log, safe for concurrent use.
//
// What rules what:
//
//   - Retry-After is RFC 9110 section 10.2.3, its dates section 5.6.7, the obsolete forms included.
//     On 413 it is section 15.5.14, on 429 RFC 6585 section 4. Retry-After-Ms and
//     X-Ms-Retry-After-Ms are the finer spellings that Azure sends.
//   - RateLimit and RateLimit-Policy are draft-ietf-httpapi-ratelimit-headers-11, structured fields
//     of RFC 9651. Its predecessors are still on the wire and are read too: "limit=100,
//     remaining=0, reset=7" of -07, and RateLimit-Limit, -Remaining and -Reset of -06 and before,
//     with policies such as "100, 100;w=60".
//   - X-RateLimit-*, X-Rate-Limit-* and X-Ms-Ratelimit-Remaining-* have no standard; what GitHub,
//     GitLab, Discord, Reddit, Kong, Docker and Azure send was taken as one. So were the labels in
//     such names: a span of time (X-RateLimit-Remaining-Day), what is counted (OpenAI's
//     X-RateLimit-Remaining-Tokens, with a reset such as 6m0s, and
//     Anthropic-RateLimit-Tokens-Remaining), Burst and Sustained. Names with other labels are
//     passed over, since what they count may not be requests.
//   - X-HubSpot-RateLimit-*, X-Shopify-Shop-Api-Call-Limit and X-Amzn-RateLimit-Limit are read as
//     their vendors describe them.
//
// The wait comes from the first header in this order that gives one: Retry-After-Ms,
// X-Ms-Retry-After-Ms, Retry-After, RateLimit, RateLimit-Reset, X-RateLimit-Reset-After,
// X-RateLimit-Reset, X-Rate-Limit-Reset, and then those with a label or a vendor in their name. A
// header that cannot be used is passed over, never an error. Of several values for one header the
// longest wait counts: waiting too long costs time, waiting too short costs a refusal.
//
// Quotas bind when they are used up, and then on any status: a 200 that used the last of a quota
// says that the next request is one too many. Quotas on a response with a positive Age come from a
// cache and are ignored (section 7.3 of the draft).
//
// A number of 1e9 or more is no delay, for that would be 31 years, but a Unix time; from 1e12 on in
// milliseconds. Clock times are measured from the response's Date, so that a wrong local clock does
// no harm, and from the local clock where Date is missing or unreadable. The reset of a quota is
// also measured from the local clock where that agrees with Date, which leaves out the fraction of
// a second.
//
// Reading takes time linear in the length of the headers, and never more than 8 KiB of a structured
// field or 64 quotas are looked at: the server that writes these headers may be hostile.
package hint

import (
	"math"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Hints is what a response's headers say about sending again. The zero value says nothing.
type Hints struct {
	// Wait is what is asked for, rounded up to a whole millisecond and never negative;
	// math.MaxInt64 if it is longer than can be counted.
	Wait      time.Duration
	Known     bool    // a usable wait was given: an explicit zero differs from none
	Source    string  // the header that decided, in lower case; if empty, none did
	Throttled bool    // this status with these headers is a throttle
	Malformed bool    // some header was present and unusable; it was passed over
	Limits    []Limit // quotas stated, whatever the status
}

// Asked reports whether the wait was asked for outright, by Retry-After or one of its finer
// spellings, and does not follow from a quota.
func (h Hints) Asked() bool { return strings.Contains(h.Source, "retry-after") }

// Limit is one quota as the upstream states it. Counts and durations are -1 when unknown.
type Limit struct {
	Policy    string        // its name, in lower case if it comes from a header's; may be empty
	Unit      string        // what it counts: "requests", "content-bytes", "concurrent-requests", …
	Limit     int64         // units in a window
	Remaining int64         // units left, rounded down
	Reset     time.Duration // until the quota is renewed, rounded up to a whole millisecond
	Window    time.Duration // length of the window
	Dated     bool          // Reset was stated as an instant, not as a delay
}

// Parse reads the throttling headers of a response that arrived at the instant now. It takes names
// in any case, also in a map that was not filled through [http.Header.Add], and a nil map. It
// neither keeps nor changes h.
//
// Throttled is true for 429, whatever its headers; for 403 and 503 when a quota is used up; and for
// any other refusal that asks for a wait outright, except 400, 401, 404, 405, 408, 409 to 415, 422,
// 501 and 505, where the wait is about that one request. A 503 that only asks to wait is an
// overload, not a throttle.
func Parse(status int, h http.Header, now time.Time) Hints {
	var few [8]string
	names := few[:0]
	for name := range h {
		if concerns(name) {
			names = append(names, name)
		}
	}
	if len(names) == 0 { // nearly every response
		return Hints{Throttled: status == http.StatusTooManyRequests}
	}
	slices.Sort(names) // map order must not show in the result
	return read(status, h, now, names)
}

// reader collects the hints of one response.
type reader struct {
	status int
	ref    time.Time // what clock times are measured from
	quota  bool      // it is the headers of quotas that are read
	dated  bool      // a wait that was read is one until a clock time
	hints  Hints
	rank   int  // of the header that gave hints.Wait
	usedUp bool // some quota has nothing left
}

func read(status int, h http.Header, now time.Time, names []string) Hints {
	r := reader{status: status, ref: reference(h, now), rank: byNone}
	var asks [len(asking)][]string
	var q quotaFields
next:
	for _, name := range names {
		lower := strings.ToLower(name)
		for i := range asking {
			if lower == asking[i].name {
				asks[i] = merge(asks[i], h[name])
				continue next
			}
		}
		q.add(lower, h[name])
	}

	if heedsRetryAfter(status) {
		for rank, header := range asking {
			if wait := r.longest(asks[rank], header.unit); wait >= 0 {
				r.offer(rank, header.name, wait)
			}
		}
	}
	asked := r.hints.Known
	if !cached(h) {
		r.quota = true
		r.ref = resetReference(r.ref, now)
		r.quotas(&q)
	}

	switch status {
	case http.StatusTooManyRequests:
		r.hints.Throttled = true
	case http.StatusForbidden:
		r.hints.Throttled = asked || r.usedUp
	case http.StatusServiceUnavailable:
		r.hints.Throttled = r.usedUp
	default:
		r.hints.Throttled = asked && status >= 400 && !ofOneRequest(status)
	}
	return r.hints
}

// heedsRetryAfter reports whether Retry-After means "send again then" on this status. On a success
// it says nothing about a retry. On a redirection it is the wait before the redirected request.
func heedsRetryAfter(status int) bool { return 300 <= status && status <= 599 }

// ofOneRequest reports whether a refusal with this status says something about its request, and
// nothing about how much the server can take. A Retry-After is then about that request as well.
func ofOneRequest(status int) bool {
	switch status {
	case http.StatusBadRequest, http.StatusUnauthorized, http.StatusNotFound,
		http.StatusMethodNotAllowed, http.StatusRequestTimeout,
		http.StatusUnprocessableEntity, http.StatusNotImplemented,
		http.StatusHTTPVersionNotSupported:
		return true
	}
	return http.StatusConflict <= status && status <= http.StatusUnsupportedMediaType
}

// offer takes a wait unless a header of lower rank, or a longer wait of the same rank, was there
// before.
func (r *reader) offer(rank int, source string, wait time.Duration) {
	if rank < r.rank || rank == r.rank && wait > r.hints.Wait {
		r.rank = rank
		r.hints.Wait, r.hints.Known, r.hints.Source = wait, true, source
	}
}

// tell records a quota and, if it is used up, the wait that follows from it. The header named by
// source states the reset; the one named by left states how much is left.
func (r *reader) tell(l Limit, rank int, source, left string) {
	if len(r.hints.Limits) < maxLimits {
		r.hints.Limits = append(r.hints.Limits, l)
	}
	switch {
	case l.Remaining == 0:
		r.usedUp = true
		if l.Reset >= 0 {
			r.offer(rank, source, l.Reset)
		} else if l.Window >= 0 && r.refused() {
			r.offer(rank, left, l.Window) // no reset: the whole window is the safe upper bound
		}
	case l.Remaining < 0 && l.Reset >= 0 && r.status == http.StatusTooManyRequests:
		r.offer(rank, source, l.Reset) // the status says what the missing count does not
	}
}

// refused reports whether the status is one with which a used-up quota refuses. On others a window
// without a reset would pause for what may be over in an instant.
func (r *reader) refused() bool {
	switch r.status {
	case http.StatusTooManyRequests, http.StatusForbidden, http.StatusServiceUnavailable:
		return true
	}
	return false
}

// cached reports whether the response comes from a cache, by RFC 9111 section 5.1.
func cached(h http.Header) bool {
	age, _, ok := number(first(h, "Age", "age"))
	return ok && age > 0
}

// reference is the instant that clock times are measured from.
func reference(h http.Header, now time.Time) time.Time {
	date := first(h, "Date", "date")
	if day, rest, ok := strings.Cut(date, ","); ok && isWeekday(day) {
		date = trim(rest)
	}
	if t, ok := clock(date, now); ok {
		return t
	}
	return now
}

// datePrecision is how much later than its Date a response can arrive by a clock that agrees with
// the server's: Date leaves out the fraction of a second, and the response takes some time to
// arrive.
const datePrecision = time.Second + 250*time.Millisecond

// resetReference returns the instant that the reset of a quota is measured from. Windows end at
// whole seconds, so measured from a Date without its fraction, the rest of a window would be up to
// a second too long. If the clocks agree, it is therefore the local one. Not so for a date in
// Retry-After, which is in most cases the Date plus a delay, both without the same fraction.
func resetReference(date, now time.Time) time.Time {
	if late := now.Sub(date); 0 <= late && late < datePrecision {
		return now
	}
	return date
}

// merge puts together the lines of a header that is there under two spellings.
func merge(a, b []string) []string {
	if len(a) == 0 {
		return b
	}
	return slices.Concat(a, b)
}

// first returns the first value under either key, trimmed.
func first(h http.Header, canonical, lower string) string {
	for _, values := range [...][]string{h[canonical], h[lower]} {
		if len(values) > 0 {
			return trim(values[0])
		}
	}
	return ""
}

// never is what a duration that does not fit is taken as.
const never = time.Duration(math.MaxInt64)
