package servers

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
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

// Requests reads the server's access log, in the order of the answers. The last lines are sure to
// be there after Stop only.
func (s *Server) Requests() ([]Request, error) {
	f, err := os.Open(filepath.Join(s.dir, "access.log"))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var all []Request
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		var r Request
		// The instant of the answer and how long it took, both in seconds with three decimals.
		var sec, msec, tookSec, tookMsec int64
		if _, err := fmt.Sscanf(lines.Text(), "%d.%d %d.%d %d %d %d %s %s", &sec, &msec, &tookSec,
			&tookMsec, &r.Status, &r.Conn, &r.Length, &r.Method, &r.URI); err != nil {
			return nil, fmt.Errorf("%s: %w in %q", f.Name(), err, lines.Text())
		}
		r.Answered = time.UnixMilli(sec*1000 + msec)
		r.Arrived = r.Answered.Add(-time.Duration(tookSec*1000+tookMsec) * time.Millisecond)
		all = append(all, r)
	}
	return all, lines.Err()
}
