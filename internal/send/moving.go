package send

import (
	"context"
	"crypto/tls"
	"net/http/httptrace"
	"sync"
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
			m.jobs[j] = way{c, c.Acked()}
		}
	}})
}

// forget ends what watch began.
func (m *moving) forget(j *job) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.jobs, j)
}

// bytes is how much of files under way the server has acknowledged.
func (m *moving) bytes() (n int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for j, w := range m.jobs {
		n += min(w.conn.Acked()-w.start, j.item.Size)
	}
	return n
}
