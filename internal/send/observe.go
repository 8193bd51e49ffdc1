package send

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/penstock/penstock/internal/exit"
	"github.com/penstock/penstock/internal/human"
	"github.com/penstock/penstock/internal/report"
	"github.com/penstock/penstock/retry"
	"github.com/penstock/penstock/throttle"
)

// observe records what the transport does.
func (r *run) observe(e throttle.Event) {
	now := time.Now()
	switch e.Kind {
	case throttle.Sent:
		r.tally.Sent(e.Token)
		j := jobOf(e.Request)
		r.mu.Lock()
		server := r.serverLocked(e.Key)
		if r.inFlight++; r.inFlight == 1 {
			r.heard = now
		}
		r.maxInFlight = max(r.maxInFlight, r.inFlight)
		r.mu.Unlock()
		if j != nil {
			r.backingOff(j, false)
			j.server, j.sent = server, now
			j.tries++
			if !j.counted {
				r.mu.Lock()
				j.accepted, j.counted = server.accepted, true
				r.mu.Unlock()
			}
			if j.began.IsZero() {
				j.began = now
			}
		}
	case throttle.Resent:
		r.tally.Resent(e.Token)
		if j := jobOf(e.Request); j != nil {
			j.tries++
		}
		if e.Outcome != throttle.Ignored { // net/http sends again, and again, what is refused
			r.mu.Lock()
			r.serverLocked(e.Key).failed(now, now)
			r.failing = true
			r.mu.Unlock()
		}
	case throttle.Paused:
		r.paused(e, now)
	case throttle.Changed:
		r.changed(e)
	case throttle.Ended:
		r.answered(e, now)
	}
}

func (r *run) paused(e throttle.Event, now time.Time) {
	wait := e.Until.Sub(now)
	if e.Source == "" { // nobody asked for it
		r.Log.Debug(fmt.Sprintf("%s: paused for %s, without being asked to", e.Key, human.Span(wait)))
		return
	}
	r.keepWait(e.Key, now, e.Until)
	if r.MaxWait > 0 && wait > r.MaxWait {
		r.mu.Lock()
		s := r.serverLocked(e.Key)
		r.mu.Unlock()
		r.leftAlone(s, e.Until)
		return
	}
	// A server that asks for a pause each second does not get a line each second.
	level := slog.LevelDebug
	r.mu.Lock()
	r.serverLocked(e.Key).asked(now, e.Until)
	if now.Sub(r.pauseTold) >= tellEvery && (e.Source != "quota" || wait > downAfter) {
		level, r.pauseTold = slog.LevelInfo, now
	}
	r.mu.Unlock()
	text := fmt.Sprintf("%s asked us to wait %s (%s); paused until %s", e.Key, human.Span(wait), header(e.Source), human.InstantSeconds(e.Until, now))
	if e.Source == "quota" {
		text = fmt.Sprintf("our quota at %s is used up for %s; paused until %s", e.Key, human.Span(wait), human.InstantSeconds(e.Until, now))
	}
	r.Log.Log(context.Background(), level, text)
}

// leftAlone notes that a server asked for a wait longer than --max-wait. A job may learn of it
// before the event of the pause comes.
func (r *run) leftAlone(s *server, until time.Time) {
	text := "the server asked us to wait until " + until.Format(time.RFC3339)
	switch {
	case s == nil:
	case s.Stats().PauseSource == "quota":
		text = "our quota at the server is used up until " + until.Format(time.RFC3339)
	case s.earlier.Equal(until):
		text = askedEarlier("the server", until, time.Now())
	}
	if r.MaxWait > 0 {
		text += fmt.Sprintf(", longer than --max-wait %s", human.Exact(r.MaxWait))
	}
	r.close(s, exit.Unavailable, errors.New(text))
}

// header spells a header's name as people know it.
func header(name string) string {
	return strings.ReplaceAll(http.CanonicalHeaderKey(name), "Ratelimit", "RateLimit")
}

// answered records how a request ended. An answer of 2xx to a job's is recorded when retry has judged it: it may have come before the
// request was sent whole.
func (r *run) answered(e throttle.Event, now time.Time) {
	r.mu.Lock()
	r.heard = now
	r.inFlight--
	r.mu.Unlock()
	j := jobOf(e.Request)
	switch {
	case e.Err != nil && errors.As(e.Err, new(interface{ RetryAt() time.Time })): // it did not leave: the journal failed, or a pause began before it had a connection
		r.tally.Unsent()
		if j != nil {
			j.tries--
		}
	case j != nil && e.Status >= 200 && e.Status <= 299:
		j.answer = &e
	default:
		r.judged(e, now)
		if j != nil && isFinalAtOnce(e) {
			j.refused = e.Status
			r.countRefusal(j, e.Status)
		}
	}
}

// judged records what the answer to a request means, or that there was none.
func (r *run) judged(e throttle.Event, now time.Time) {
	outcome, fault := report.Errored, fileFault(e.Err)
	switch {
	case e.Status >= 200 && e.Status <= 299:
		if e.Err == nil || fault != nil { // the server works
			outcome = report.Accepted
		}
	case e.Outcome == throttle.Throttled:
		outcome = report.Throttled
	case e.Outcome == throttle.Overloaded:
		outcome = report.Overloaded
	case e.Outcome == throttle.TimedOut:
		outcome = report.TimedOut
	case e.Outcome == throttle.Failed:
		outcome = report.Broken
	}
	counted := outcome
	if e.Status >= 500 && counted == report.Errored {
		counted = report.Broken // such as 507: what was sent is wasted as with the others
	}
	trouble := troubleOf(e)
	if fault != nil {
		counted = report.Spoiled
	}
	r.tally.Request(report.Request{Outcome: counted, Status: e.Status, Failure: trouble, Latency: e.Latency})
	r.mu.Lock()
	defer r.mu.Unlock()
	j := jobOf(e.Request)
	if j == nil || fault != nil && e.Status == 0 {
		return // a question about an item, not an item, or nothing about the server
	}
	s := r.serverLocked(e.Key)
	s.heard = s.heard || e.Status != 0
	s.pressed.note(outcome, e.Status, j.sent, now)
	if s.trouble, s.culprit = trouble, culpritOf(e.Err); outcome == report.Accepted {
		s.accepted++
		s.trouble = ""
		s.streak.accept()
		if it := j.item; it.Header == nil {
			s.newest[it.Method] = later(s.newest[it.Method], j.sent)
		}
		if s.goneBy != exit.Refused { // what was on its way then changes nothing
			s.gone, s.goneBy = nil, 0
		}
		s.alike.accept(j.sent)
		r.acceptedLocked()
		return
	}
	s.broken = outcome == report.Broken
	if r.declined(e.Status) {
		s.trouble, s.culprit = "", ""
		r.worksLocked()
		return
	}
	s.streak.refuse(j.sent, now, dialError(e.Err) != nil)
	s.failed(j.sent, now)
	r.failing = true
	r.refusing = outcome != report.Errored || e.Err != nil
	if r.refusing && e.Status != 0 {
		r.probes.refused(j.sent, now)
	}
}

// noAnswer is the trouble with a server that is perhaps only slow.
const noAnswer = "no answer in time"

// troubleOf says in a few words how a server refused, or failed; "" where it did
// neither.
func troubleOf(e throttle.Event) string {
	if e.Err == nil && e.Status < 300 {
		return ""
	}
	words := brief(e)
	if culprit := culpritOf(e.Err); culprit != "" && !strings.HasPrefix(words, culprit) {
		words = culprit + ": " + words
	}
	return words
}

// brief is troubleOf without the culprit.
func brief(e throttle.Event) string {
	var dns *net.DNSError
	var proxy *proxyError
	var cert *tls.CertificateVerificationError
	switch {
	case e.Err == nil:
		return fmt.Sprintf("%d %s", e.Status, http.StatusText(e.Status))
	case errors.Is(e.Err, context.Canceled):
		return ""
	case errors.Is(e.Err, errEarly):
		return errEarly.Error()
	case fileFault(e.Err) != nil:
		return faultKind(fileFault(e.Err))
	case errors.Is(e.Err, syscall.ECONNREFUSED):
		return "connection refused"
	case errors.As(e.Err, &proxy):
		return fmt.Sprintf("%d %s", proxy.status, http.StatusText(proxy.status))
	case errors.As(e.Err, &dns) && dns.IsNotFound && !dns.IsTemporary:
		return "host not found"
	case errors.As(e.Err, &dns):
		return "its name cannot be looked up"
	case errors.As(e.Err, &cert):
		return "its certificate is not valid"
	case opError(e.Err, "remote error", "local error") != nil: // an alert
		return "TLS failed"
	case dialTimedOut(e.Err):
		return "no connection in time"
	case dialError(e.Err) != nil:
		return "no connection"
	case e.Outcome == throttle.TimedOut:
		return noAnswer
	case e.Outcome == throttle.Overloaded, e.Outcome == throttle.Ignored && isLost(e.Err):
		return "connection lost"
	case e.Outcome == throttle.Ignored:
		return "broken off"
	}
	return "it cannot be reached"
}

var errEarly = errors.New("answered before the request was sent whole")

// retrying records what the client does.
func (r *run) retrying(e retry.Event) {
	j := jobOf(e.Request)
	if j == nil {
		return
	}
	if j.answer != nil {
		switch {
		case j.fault != nil:
			j.answer.Err = j.fault
		case e.Uncertain:
			j.answer.Err = errEarly
		}
		r.judged(*j.answer, time.Now())
		j.answer = nil
	}
	j.doubt = j.doubt || e.Uncertain
	if e.Kind == retry.Waiting {
		why, status := e.Reason, e.Status
		switch {
		case j.fault != nil:
			status = 0 // it says nothing of the file
		case e.Status != 0:
			why = strconv.Itoa(e.Status)
		}
		r.moving.again(j, why, time.Now())
		r.backingOff(j, true)
		r.mu.Lock()
		r.refusals.note(j, status, time.Now())
		r.mu.Unlock()
		r.refused(j)
		if now := time.Now(); e.Wait > ownWait && j.server != nil { // the server asked for it
			r.mu.Lock()
			if !now.Before(j.server.end) { // else it asked all of us, and e.Until is a little later
				j.server.asked(now, e.Until)
			}
			r.mu.Unlock()
		}
		reason := e.Reason
		if e.Status != 0 {
			reason += fmt.Sprintf(" (%d)", e.Status)
		}
		r.Log.Debug(fmt.Sprintf("%s: attempt %d: %s; again in %s", j.item.Path, e.Attempt, reason, human.Span(e.Wait)))
	}
}

// backingOff counts a job in or out of those that wait for their next attempt.
func (r *run) backingOff(j *job, waiting bool) {
	if j.waiting == waiting {
		return // j belongs to one goroutine
	}
	j.waiting = waiting
	if waiting {
		r.moving.forget(j)
	}
	n := 1
	if !waiting {
		n = -1
	}
	r.mu.Lock()
	r.backoff += n
	if j.fault != nil && j.item.Size < large { // larger ones are named
		r.changing += n
	}
	if waiting && !j.retried {
		j.retried = true
		r.retried++
	}
	r.mu.Unlock()
}
