package lab

import (
	"net"
	"strconv"
	"time"
)

var downPreset = preset{Preset{
	Name:    "down",
	Summary: "accepts everything, but for a while is down",
	Params: []Param{
		{"after", "2s", "from the start of the server to the outage"},
		{"for", "10s", "how long it lasts"},
		{"mode", "refuse",
			"refuse: connections are reset and refused; hang: requests wait for the end; 500 to " +
				"599: they are answered so"},
		{"retry-after", "none", "seconds that such an answer asks for"},
	},
}, func(v *values) rule {
	d := &down{
		after:      v.duration("after", 0),
		length:     v.duration("for", 0),
		mode:       v.text["mode"],
		retryAfter: v.retryAfter("retry-after"),
	}
	if d.mode != "refuse" && d.mode != "hang" {
		status, err := strconv.Atoi(d.mode)
		if err != nil || status < 500 || status > 599 {
			v.bad("mode", "refuse, hang or a status from 500 to 599")
		}
		d.status = status
	}
	return d
}}

type down struct {
	after, length time.Duration
	mode          string
	status        int // of mode, if it is one
	retryAfter    int
}

func (d *down) serve(x *exchange) {
	begin := x.started.Add(d.after)
	end := begin.Add(d.length)
	if x.at.Before(begin) || !x.at.Before(end) {
		x.accept()
		return
	}
	x.ledger.fault("down")
	switch d.mode {
	case "refuse": // on a connection that was made just before
		x.reset()
	case "hang":
		x.sleepUntil(end)
		x.accept()
	default:
		x.refuse(d.status, d.retryAfter)
	}
}

// refuse makes the outage of mode refuse: that of a process that has died, with all its
// connections, and is started again.
func (d *down) refuse(s *Server, l net.Listener) {
	if !s.sleepUntil(s.started.Add(d.after)) {
		return
	}
	door, inMemory := l.(interface{ Refuse(bool) })
	if inMemory {
		door.Refuse(true)
	} else {
		l.Close()
	}
	s.each(reset)
	end := s.started.Add(d.after + d.length)
	if !s.sleepUntil(end) {
		return
	}
	if inMemory {
		door.Refuse(false)
		return
	}
	for {
		again, err := net.Listen(l.Addr().Network(), l.Addr().String())
		if err == nil {
			s.serve(again)
			return
		}
		// Somebody else has the port. That can only be for a moment: a connection of a client that
		// the kernel gave this port.
		end = end.Add(50 * time.Millisecond)
		if !s.sleepUntil(end) {
			return
		}
	}
}
