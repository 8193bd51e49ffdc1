package send

import (
	"net/http"
	"time"

	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/internal/results"
	"github.com/penstock/penstock/internal/resume"
)

// A standing is what a server may have of an item, by its attempts in this run and in those before.
// Each thing that may happen to the item is a method. What earlier runs left (Past) is set when it
// is claimed, and Key when its request is made.
//
// First is zero while the server has nothing of it, or what it has does not matter. From the moment
// when an attempt leaves, First says when; Doubt says that some attempt may have been accepted.
type standing struct {
	resume.Past
	noted     bool // the journal has it in flight
	keyTaken  bool // another request has its key
	conflicts int  // answers of 409 to its key

	ask    bool // the server is asked whether it has the item
	found  bool // it says so
	absent bool // it has said the contrary, so that the item is sent again
	before int  // attempts when it first did
}

// begin records that an attempt is about to leave.
func (s *standing) begin(now time.Time) {
	if s.First.IsZero() {
		s.First = now.Round(0) // by the wall clock: a machine may sleep meanwhile
	}
}

// uncertain records that an attempt may have been accepted.
func (s *standing) uncertain() { s.Doubt = true }

// refuse records that the last attempt was not accepted, and reports whether the item is in flight
// no more: not if an attempt before may have been accepted.
func (s *standing) refuse() (none bool) {
	if s.Doubt {
		return false
	}
	s.First = time.Time{}
	return true
}

// change records that the content is another one now. What is known of the old content, its key
// too, says nothing of the new one, except that the server may have the old one.
func (s *standing) change() {
	s.Older = s.Older || s.Doubt || s.Attempts > 0
	s.Key, s.ask = "", false
	s.clear()
	s.noted = false
}

// clear forgets all attempts.
func (s *standing) clear() { s.First, s.Doubt, s.keyTaken = time.Time{}, false, false }

// spoil records that the content changed, or could not be read to its end, while an attempt sent
// it: the server may have what it was, or a mix.
func (s *standing) spoil() { s.Older = true }

// mostConflicts is the number of answers of 409 from which on one without a Retry-After is taken to
// say that the server has the item already, and goes on saying so. Those before it say that the
// server is still at work with the key.
const mostConflicts = 3

// conflict records an answer of 409 to the item's key, and reports whether the server may still be
// at work with it. If no attempt is in doubt, another request has the key: one that net/http, or a
// run with another journal, has sent.
func (s *standing) conflict(idempotent, asksToWait bool) (again bool) {
	if !s.Doubt && !idempotent {
		s.Doubt, s.keyTaken = true, true
	}
	s.conflicts++
	return s.conflicts < mostConflicts || asksToWait
}

// confirm records that the server says that it has the item.
func (s *standing) confirm() { s.found = true }

// deny records that the server says that it does not have the item, of which so many attempts were
// made, and which is sent again.
func (s *standing) deny(tries int) {
	if !s.absent {
		s.absent, s.before = true, tries
	}
	s.ask = false
	s.clear()
}

// insist records that the item is sent although the server cannot say whether it has it.
func (s *standing) insist() { s.ask, s.First = false, time.Time{} }

// postpone records that the end of the run comes back to the item, perhaps to ask about it. What
// the journal has from now on is how it ended.
func (s *standing) postpone(ask bool) { s.ask, s.noted = ask, false }

// judge corrects how the item ended by what is known of its attempts: a server that says that it
// has the item may have it from one of them, or from another program.
func (s *standing) judge(out *results.Result) {
	conflict := out.HTTPStatus == http.StatusConflict ||
		out.HTTPStatus == http.StatusPreconditionFailed
	switch {
	case out.Status != item.Failed || !conflict:
	case !s.Doubt:
		s.Older = true
	case s.keyTaken:
		out.Status = item.Unknown
		out.Error += "; another request with this idempotency key may have been accepted"
	default:
		out.Status = item.Unknown
		out.Error += "; what the server has may be from an attempt before"
	}
}
