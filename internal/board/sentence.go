package board

import (
	"fmt"
	"time"

	"github.com/penstock/penstock/internal/human"
)

// end is when it ended, or else now.
func (s *State) end() time.Time {
	if s.Ended.IsZero() {
		return s.Now
	}
	return s.Ended
}

// Sentence says what is being done, and what holds it back.
func (s *State) Sentence() string {
	does, idle := s.does()
	if !s.Ended.IsZero() {
		return "It has ended: " + does + "."
	}
	switch {
	case s.Paused && s.Holding == "":
		does += "; paused by hand"
	case s.Holding != "":
		does += "; " + s.Holding
	case s.Draining:
		does += "; stopping, nothing new is taken"
	case !idle:
		does += "; nothing holds it back"
	}
	return human.Printable(does) + "."
}

// does says what is being done, and whether that is nothing.
func (s *State) does() (text string, idle bool) {
	if s.Items != nil {
		return s.Items.text(!s.Ended.IsZero()), false
	}
	inFlight, waiting := 0, 0
	for _, u := range s.Upstreams {
		inFlight += u.InFlight
		waiting += u.Waiting
	}
	if s.Queue != nil {
		waiting = s.Queue.Waiting
	}
	if inFlight+waiting == 0 {
		return "No request is under way", true
	}
	return fmt.Sprintf("%s in flight, %s waiting", human.Plural(inFlight, "request"),
		human.Count(waiting)), false
}

func (i *Items) text(ended bool) string {
	of := human.Plural(i.Total, "file")
	if !i.Known {
		of = "at least " + of
	}
	text := fmt.Sprintf("%s of %s delivered", human.Count(i.Delivered), of)
	for _, part := range []struct {
		n    int64
		what string
	}{{i.Skipped, "skipped"}, {i.Failed, "failed"}, {i.Unknown, "unknown"}} {
		if part.n > 0 {
			text += fmt.Sprintf(", %s %s", human.Count(part.n), part.what)
		}
	}
	if i.Left > 0 && !ended {
		text += ", about " + human.Clock(human.Seconds(i.Left)) + " left"
	}
	return text
}
