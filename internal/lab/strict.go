package lab

import (
	"net/http"
	"sync"
	"time"
)

var strictPreset = preset{Preset{
	Name:    "strict",
	Summary: "evenly spaced requests only, else 429",
	Params: []Param{
		{"rps", "20", "requests a second"},
		{"tolerance", "10ms", "how much too early a request may be"},
		{"retry-after", "none", "seconds that a 429 asks for"},
	},
}, func(v *values) rule {
	return &strict{
		interval:   v.interval("rps"),
		tolerance:  v.duration("tolerance", 0),
		retryAfter: v.retryAfter("retry-after"),
	}
}}

// strict is the generic cell rate algorithm, in its form of virtual scheduling (ITU-T I.371): each
// accepted request moves the instant at which the next is due. Being early within the tolerance is
// allowed but not forgotten, so that the rate holds over any longer time.
type strict struct {
	interval   time.Duration
	tolerance  time.Duration
	retryAfter int

	mu  sync.Mutex
	due time.Time // when the next request is due; protected by mu
}

func (s *strict) serve(x *exchange) {
	if s.take(x.at) {
		x.accept()
	} else {
		x.refuse(http.StatusTooManyRequests, s.retryAfter)
	}
}

func (s *strict) take(t time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.due.Sub(t) > s.tolerance {
		return false
	}
	if t.After(s.due) {
		s.due = t
	}
	s.due = s.due.Add(s.interval)
	return true
}
