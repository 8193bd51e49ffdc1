package nginxtest

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// logFormat is what [Server.Requests] reads. The URI is as it came, percent-encoded, so nothing in a line has spaces.
const logFormat = `$msec $request_time $status $connection $request_length $request_method $request_uri`

// Request is one line of the access log. nginx keeps time in milliseconds.
type Request struct {
	Arrived  time.Time // its first byte was read
	Answered time.Time // its answer was sent, and what was left of its body read
	Status   int
	Conn     int   // a number for each connection
	Length   int64 // bytes of the request, head and body
	Method   string
	URI      string
}

// Requests reads what was asked of the server, in the order of the answers. The last lines are sure to be there after Stop only.
func (s *Server) Requests() ([]Request, error) {
	f, err := os.Open(filepath.Join(s.dir, "access.log"))
	if err != nil {
		return nil, fmt.Errorf("nginxtest: %w", err)
	}
	defer f.Close()
	var all []Request
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		var r Request
		var sec, msec, tookSec, tookMsec int64
		if _, err := fmt.Sscanf(lines.Text(), "%d.%d %d.%d %d %d %d %s %s", &sec, &msec, &tookSec, &tookMsec,
			&r.Status, &r.Conn, &r.Length, &r.Method, &r.URI); err != nil {
			return nil, fmt.Errorf("nginxtest: access log: %w in %q", err, lines.Text())
		}
		r.Answered = time.UnixMilli(sec*1000 + msec)
		r.Arrived = r.Answered.Add(-time.Duration(tookSec*1000+tookMsec) * time.Millisecond)
		all = append(all, r)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("nginxtest: access log: %w", err)
	}
	return all, nil
}
