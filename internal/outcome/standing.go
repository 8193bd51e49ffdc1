package outcome

import (
	"bytes"
	"errors"
	"net/http"
	"time"

	"github.com/penstock/penstock/internal/body"
	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/internal/resume"
	"github.com/penstock/penstock/retry"
)

// A Standing is what a server may have of an item, by its attempts in this run and in those before.
// Each thing that may happen to the item is a method, named after what happened. The zero value is
// that of an item of which nothing is known. It belongs to one goroutine at a time.
type Standing struct {
	// First is zero while the server has nothing of the item, or what it has does not matter. From
	// the moment when an attempt leaves, First says when; Doubt says that some attempt may have
	// been accepted.
	past  resume.Past
	fault error // of the content, why the last attempt failed that sent some of it

	noted     bool // the journal has it in flight
	keyTaken  bool // another request has its key
	conflicts int  // answers of 409 to its key

	ask    bool // the server is asked whether it has the item
	found  bool // it says so
	absent bool // it has said the contrary, so that the item is sent again
	before int  // attempts when it first did
}

// Past returns what earlier runs left of the item, and what this run's attempts have added to it.
func (s *Standing) Past() resume.Past { return s.past }

// IsNoted reports whether the journal has the item in flight.
func (s *Standing) IsNoted() bool { return s.noted }

// Asks reports whether the server is asked if it has the item, before that is sent.
func (s *Standing) Asks() bool { return s.ask }

// WasFound reports whether the server, asked, says that it has the item.
func (s *Standing) WasFound() bool { return s.found }

// WasAbsent reports whether the server said that it did not have the item and an attempt was made
// after that. If none was, the run ended first.
func (s *Standing) WasAbsent(tries int) bool { return s.absent && tries > s.before }

// Fault returns why the last attempt failed, if it sent some of the item's content and that changed
// or could not be read on.
func (s *Standing) Fault() error { return s.fault }

// Claimed records what earlier runs left of the item, and whether the server is asked about it.
func (s *Standing) Claimed(past resume.Past, ask bool) { s.past, s.ask = past, ask }

// Keyed records the idempotency key that the item is sent with, empty if none.
func (s *Standing) Keyed(key string) { s.past.Key = key }

// Begun records that the content is opened for another attempt.
func (s *Standing) Begun() { s.fault = nil }

// Left records that an attempt is about to leave.
func (s *Standing) Left(now time.Time) {
	if s.past.First.IsZero() {
		s.past.First = now.Round(0) // by the wall clock: a machine may sleep meanwhile
	}
}

// Noted records that the journal has the item in flight.
func (s *Standing) Noted() { s.noted = true }

// Doubted records that an attempt may have been accepted.
func (s *Standing) Doubted() { s.past.Doubt = true }

// Refused records that the last attempt was not accepted. It reports whether the journal's
// in-flight mark must be withdrawn; it stays if an earlier attempt may have been accepted.
func (s *Standing) Refused() (withdrawn bool) {
	if s.past.Doubt {
		return false
	}
	withdrawn = s.noted
	s.past.First, s.noted = time.Time{}, false
	return withdrawn
}

// Looked records what a look at the content has found out, even one that failed, and the SHA-256
// where that is known. If that of what earlier runs sent is known, it decides whether the content
// is another one.
func (s *Standing) Looked(look body.Look, sum []byte) {
	if s.past.Sent != nil {
		look.Changed, look.Alike = !bytes.Equal(s.past.Sent, sum), sum == nil
	}
	if look.Changed {
		s.changed(look.Alike)
	}
}

// changed records that the content has another date or size now. What is known of the old content,
// its key too, says nothing of the new one, except that the server may have the old one. If they
// are alike, they may be the same.
func (s *Standing) changed(alike bool) {
	s.past.Older = s.past.Older || s.past.Doubt || s.past.Attempts > 0
	s.past.Key, s.past.Sent, s.past.Arrived = "", nil, false
	doubt := alike && s.past.Doubt
	s.ask = alike && s.ask
	s.clear()
	s.past.Doubt, s.noted = doubt, false
}

// clear forgets all attempts.
func (s *Standing) clear() {
	s.past.First, s.past.Doubt, s.keyTaken = time.Time{}, false, false
}

// MostConflicts is the number of answers of 409 to an item's key from which on one without
// Retry-After means that the server has the item. Earlier ones mean that it still works with the
// key.
const MostConflicts = 3

// conflicted records an answer of 409 to the item's key, and reports whether the server may still
// be at work with it. If no attempt is in doubt, another request has the key: one that net/http, or
// a run with another journal, has sent.
func (s *Standing) conflicted(idempotent, asksToWait bool) (again bool) {
	if !s.past.Doubt && !idempotent {
		s.past.Doubt, s.keyTaken = true, true
	}
	s.conflicts++
	return s.conflicts < MostConflicts || asksToWait
}

// Postponed records that the item comes up again at the end of the run. If ended, the end of its
// last attempt, is not zero, the server is asked first.
func (s *Standing) Postponed(ended time.Time) {
	s.noted = false // the journal has how it ended
	if s.ask = !ended.IsZero(); s.ask {
		s.past.Ended = ended
	}
}

// Confirmed records that the server says that it has the item.
func (s *Standing) Confirmed() { s.found = true }

// Denied records that the server does not have the item, after the given number of attempts. The
// item is sent again.
func (s *Standing) Denied(tries int) {
	if !s.absent {
		s.absent, s.before = true, tries
	}
	s.ask = false
	s.clear()
}

// Insisted records that the item is sent although the server cannot say whether it has it.
func (s *Standing) Insisted() { s.ask, s.past.First = false, time.Time{} }

// A Rival is the request from which a server may have an item that it says it has.
type Rival uint8

const (
	NoRival Rival = iota
	Earlier       // an attempt before
	Another       // another request with the same idempotency key
)

// refusedFor records that the item failed by an answer, and returns what the server may have it
// from if it says that it has the item: one of its attempts, or another program.
func (s *Standing) refusedFor(status int) Rival {
	switch {
	case status != http.StatusConflict && status != http.StatusPreconditionFailed:
	case !s.past.Doubt:
		s.past.Older = true
	case s.keyTaken:
		return Another
	default:
		return Earlier
	}
	return NoRival
}

// Ended records how the last call for the item ended, and returns what becomes of the item.
func (s *Standing) Ended(c Call) End {
	end := c.end(s.fault, s.past.Doubt)
	switch {
	case end.Fate != item.Failed:
	case s.fault != nil && c.Tries > 0: // the server may have what the content was, or a mix
		s.past.Older = true
	default:
		if end.Rival = s.refusedFor(c.Status); end.Rival != NoRival {
			end.Fate = item.Unknown
		}
	}
	end.Outage = end.Fate == item.Failed && end.Fault == nil && c.Attempts > 1 &&
		(c.Status == 0 || c.Status >= 500) && !errors.Is(c.Err, retry.ErrUnreachable)
	return end
}
