package send

import (
	"cmp"
	"context"
	"crypto/tls"
	"net/http/httptrace"
	"path/filepath"
	"slices"
	"sync"

	"github.com/penstock/penstock/internal/report"
)

// large is the size from which on a file's way is followed: a smaller one is
// there before anybody looks.
const large = 1 << 20

// moving counts the bytes of large files that are on their way, for the progress.
// It asks their connections: to count as a file is read would cost it sendfile.
type moving struct {
	mu   sync.Mutex
	jobs map[*job]way
}

// A way is how one job's bytes go.
type way struct {
	conn  *stallConn
	start int64 // what the server had acknowledged on it before
	name  string
	size  int64
}

// watch returns ctx with a hook that notes which connection the job gets.
func (m *moving) watch(ctx context.Context, j *job) context.Context {
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
			m.jobs[j] = way{c, c.Acked(), filepath.Base(j.item.Path), j.item.Size}
		}
	}})
}

// forget ends what watch began.
func (m *moving) forget(j *job) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.jobs, j)
}

// list returns the files under way, the largest first, and how much of them the server has acknowledged.
func (m *moving) list() (files []report.Underway, bytes int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, w := range m.jobs {
		done := max(0, min(w.conn.Acked()-w.start, w.size))
		bytes += done
		files = append(files, report.Underway{Name: w.name, Done: done, Size: w.size})
	}
	slices.SortFunc(files, func(a, b report.Underway) int {
		return cmp.Or(cmp.Compare(b.Size, a.Size), cmp.Compare(a.Name, b.Name))
	})
	return files, bytes
}
