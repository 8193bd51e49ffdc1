package board

import (
	"fmt"

	"github.com/penstock/penstock/internal/human"
)

// A number is one of the page, with its name.
type number struct {
	Name string
	Of   string // where it is in the state as JSON
	Bare any    // as it is there
	Text string // as people read it
	More string // said beside it
	Kind string // what it says, for its colour in a chart
}

func counted[N int | int64](name, of string, n N) number {
	return number{Name: name, Of: of, Bare: n, Text: human.Count(n)}
}

// lasting is a duration in seconds; 0 is none.
func lasting(name, of string, s float64) number {
	n := number{Name: name, Of: of, Bare: s, Text: "–"}
	if s > 0 {
		n.Text = human.Span(human.Seconds(s))
	}
	return n
}

func sized(name, of string, bytes int64) number {
	return number{Name: name, Of: of, Bare: bytes, Text: human.Size(bytes)}
}

// Files are the numbers of a run.
func (v *view) Files() []number {
	i := v.Items
	bytes := sized("Bytes", "items.bytes", i.Bytes)
	left := lasting("Time left", "items.left_s", i.Left)
	if i.AllBytes > 0 {
		bytes.More = "of " + human.Size(i.AllBytes)
	}
	if i.Left > 0 {
		left.Text = human.Clock(human.Seconds(i.Left))
	}
	all := counted("Found", "items.total", i.Total)
	if !i.Known {
		all.More = "so far"
	}
	return []number{all, counted("Delivered", "items.delivered", i.Delivered),
		counted("Failed", "items.failed", i.Failed), counted("Unknown", "items.unknown", i.Unknown),
		counted("Skipped", "items.skipped", i.Skipped),
		counted("Deferred", "items.deferred", i.Deferred), bytes, left}
}

// Ended is how many items need nothing more.
func (i *Items) Ended() int64 { return i.Delivered + i.Failed + i.Unknown + i.Skipped }

// Numbers are those of the server.
func (s shown) Numbers() []number {
	of := func(name string) string { return fmt.Sprintf("upstreams.%d.%s", s.Index, name) }
	kind := func(n number, kind string) number { n.Kind = kind; return n }
	u := s.Upstream
	inFlight := counted("In flight", of("in_flight"), u.InFlight)
	if u.InFlightLimit > 0 {
		inFlight.More = "of " + human.Count(u.InFlightLimit)
	}
	pace := number{Name: "Pace", Of: of("rate"), Bare: u.Rate, Text: "any", Kind: "pace"}
	if u.Rate > 0 {
		pace.Text = human.Rate(u.Rate)
	}
	switch {
	case u.Rate == 0: // what was found is how many may be in flight
	case u.Trying:
		pace.Name = "Pace tried"
	case u.Found:
		pace.Name = "Pace found"
	}
	numbers := []number{
		kind(counted("Sent", of("sent"), u.Sent), "sent"),
		kind(counted("Accepted", of("accepted"), u.Accepted), "accepted"),
		kind(number{Name: "Refused", Bare: u.Refused(), Text: human.Count(u.Refused()),
			More: refusals(u.Throttled, u.Overloaded, u.TimedOut)}, "refused"),
		kind(counted("Failed", of("failed"), u.Failed), "failed"),
		inFlight, counted("Waiting", of("waiting"), u.Waiting),
		lasting("Latency", of("latency_s"), u.Latency), pace,
	}
	if n := s.other(); n > 0 {
		numbers = append(numbers, number{Name: "Other answers", Bare: n, Text: human.Count(n)})
	}
	return numbers
}

// refusals says how many requests were refused in which way.
func refusals(throttled, overloaded, timedOut int64) string {
	return human.Join(", ", human.Some(throttled, "too many"),
		human.Some(overloaded, "overloaded or unreachable"), human.Some(timedOut, "timed out"))
}

// other returns how many requests had an answer that is none of the others, such as 404, or none
// because they were broken off.
func (s shown) other() int64 {
	u := s.Upstream
	return max(u.Sent-u.Accepted-u.Refused()-u.Failed-int64(u.InFlight), 0)
}

// Requests are the numbers of a relay's queue.
func (v *view) Requests() []number {
	q := v.Queue
	return []number{counted("Asked", "queue.requests", q.Requests),
		counted("Answered", "queue.answered", q.Answered),
		counted("Refused at once", "queue.refused", q.Refused),
		counted("Failed", "queue.failed", q.Failed),
		counted("Client left", "queue.lost", q.Lost),
		counted("Stored", "queue.stored", q.Stored),
		counted("Waiting", "queue.waiting", q.Waiting),
		sized("Their bodies", "queue.bytes", q.Bytes),
		lasting("Oldest waits", "queue.oldest_s", q.Oldest)}
}

// Later are the numbers of requests that are delivered later.
func (v *view) Later() []number {
	l := v.Stored
	return []number{counted("Waiting", "stored.waiting", l.Waiting),
		counted("In flight", "stored.in_flight", l.InFlight),
		counted("Delivered", "stored.delivered", l.Delivered),
		counted("Failed", "stored.failed", l.Failed),
		counted("Unknown", "stored.unknown", l.Unknown),
		sized("Their bodies", "stored.bytes", l.Bytes),
		lasting("Oldest waits", "stored.oldest_s", l.Oldest)}
}

// Answers are the numbers of the cache.
func (v *view) Answers() []number {
	c := v.Cache
	return []number{counted("Hits", "cache.hits", c.Hits),
		counted("Misses", "cache.misses", c.Misses),
		counted("Old, while it was down", "cache.stale", c.Stale),
		sized("Memory", "cache.bytes", c.Bytes)}
}
