package servertest

import (
	"bufio"
	"fmt"
	"os"
	"time"
)

// Request is one line of an access log. The servers keep time in milliseconds.
type Request struct {
	Arrived  time.Time // its first byte was read
	Answered time.Time // its answer was sent, and what was left of its body read
	Status   int
	Conn     int   // a number for each connection, where the server has one
	Length   int64 // bytes of the request, head and body
	Method   string
	URI      string // as it came, percent-encoded
}

// ReadLog reads an access log, in the order of the answers. A line has the
// instant of the answer (Unix time, SECONDS.MILLISECONDS), how long it took
// (likewise), the status, the connection's number, the length, the method and the URI.
func ReadLog(name string) ([]Request, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("servertest: %w", err)
	}
	defer f.Close()
	var all []Request
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		var r Request
		var sec, msec, tookSec, tookMsec int64
		if _, err := fmt.Sscanf(lines.Text(), "%d.%d %d.%d %d %d %d %s %s", &sec, &msec, &tookSec, &tookMsec,
			&r.Status, &r.Conn, &r.Length, &r.Method, &r.URI); err != nil {
			return nil, fmt.Errorf("servertest: access log: %w in %q", err, lines.Text())
		}
		r.Answered = time.UnixMilli(sec*1000 + msec)
		r.Arrived = r.Answered.Add(-time.Duration(tookSec*1000+tookMsec) * time.Millisecond)
		all = append(all, r)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("servertest: access log: %w", err)
	}
	return all, nil
}
