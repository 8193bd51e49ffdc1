package send

import (
	"cmp"
	"context"
	"crypto/tls"
	"net/http/httptrace"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/penstock/penstock/internal/progress"
	"github.com/penstock/penstock/internal/report"
	"github.com/penstock/penstock/internal/upstream"
)

// large is the size from which on the bytes of a file are followed: a smaller one
// arrives before the progress is drawn again.
const large = 1 << 20

// moving counts the bytes of large files that are under way, for the progress.
// It asks their connections, because counting what is read would prevent sendfile.
type moving struct {
	mu   sync.Mutex
	jobs map[*job]way
	back string    // which file is sent again
	why  string    // it is
	at   time.Time // since when
}

// tellBack is for how long a file that is sent again is named. The bytes shown have fallen back by what was sent of it.
const tellBack = 10 * time.Second

// A way is how one job's bytes go.
type way struct {
	conn  *stallConn
	start int64 // what the server had acknowledged on it before
	name  string
	size  int64

	server *upstream.Server
	since  time.Time
}

// watch returns ctx with a hook that notes which connection the job gets.
func (m *moving) watch(ctx context.Context, j *job) context.Context {
	j.watched = true
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(info httptrace.GotConnInfo) {
		conn := info.Conn
		if secure, ok := conn.(*tls.Conn); ok {
			if secure.ConnectionState().NegotiatedProtocol == "h2" {
				return // the connection carries others' bytes as well
			}
			conn = secure.NetConn()
		}
		if c, ok := conn.(*stallConn); ok {
			m.mu.Lock()
			defer m.mu.Unlock()
			if m.jobs == nil {
				m.jobs = make(map[*job]way)
			}
			m.jobs[j] = way{c, c.Acked(), filepath.Base(j.item.Path), j.item.Size, j.server, time.Now()}
		}
	}})
}

// forget ends what watch began.
func (m *moving) forget(j *job) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.jobs, j)
}

// settle ends what watch began and counts the job as a whole, so that no snapshot has its bytes twice, or not at all.
func (m *moving) settle(j *job, count func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.jobs, j)
	count()
}

// again notes that a job is sent once more from its beginning.
func (m *moving) again(j *job, why string, now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if w, ok := m.jobs[j]; ok && w.done() >= large {
		m.back, m.why, m.at = w.name, why, now
	}
}

// fallen returns which file is sent again from its beginning, and why, if that began a short time ago:
// fewer bytes are shown than before.
func (m *moving) fallen(now time.Time) (name, why string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.back == "" || now.Sub(m.at) >= tellBack {
		return "", ""
	}
	return m.back, m.why
}

// reaches reports whether the server acknowledges bytes of a file that was begun since then.
func (m *moving) reaches(s *upstream.Server, since time.Time) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, w := range m.jobs {
		if w.server == s && w.since.After(since) && w.done() > 0 {
			return true
		}
	}
	return false
}

// done is how much of the job the server has acknowledged.
func (w way) done() int64 { return max(0, min(w.conn.Acked()-w.start, w.size)) }

// snapshot returns what is counted, the bytes that the server has acknowledged of files under way among it, and these files.
func (m *moving) snapshot(t *report.Tally, now time.Time) progress.Snapshot {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := t.Snapshot(now)
	var bytes int64
	s.Underway, bytes = m.listLocked()
	s.Bytes += bytes
	s.DeliveredBytes += bytes
	return s
}

// list returns the files under way, the largest first, and how much of them the server has acknowledged.
func (m *moving) list() (files []progress.Underway, bytes int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.listLocked()
}

// listLocked is list. It requires that mu is held.
func (m *moving) listLocked() (files []progress.Underway, bytes int64) {
	for _, w := range m.jobs {
		done := w.done()
		bytes += done
		files = append(files, progress.Underway{Name: w.name, Done: done, Size: w.size})
	}
	slices.SortFunc(files, func(a, b progress.Underway) int {
		return cmp.Or(cmp.Compare(b.Size, a.Size), cmp.Compare(a.Name, b.Name))
	})
	return files, bytes
}
