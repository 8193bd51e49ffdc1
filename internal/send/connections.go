package send

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/penstock/penstock/internal/nethttp"
)

// connections is the transport that does the sending. It keeps its connections in several pools: one for requests that
// may be repeated, and others for those that may not, out of which a connection is dropped before the server may be
// about to close it. A request that arrives just when its connection is closed is lost, and nobody can say whether it
// was processed. The first kind is repeated then, so it loses nothing by using a connection for as long as it lasts.
type connections struct {
	network Network
	perHost int
	dial    dialFunc
	lives   lives

	mu    sync.Mutex
	pools map[poolKey]transport
}

// A poolKey is what the requests have in common that may share connections.
type poolKey struct {
	unused  time.Duration // after which a connection is closed
	foreign bool          // to a server that must not see our certificate
}

func (c *connections) RoundTrip(req *http.Request) (*http.Response, error) {
	n := &c.network
	key := poolKey{unused: n.idleTimeout()}
	if n.CertificateOrigin != "" && n.certified() && req.URL.Scheme == "https" {
		key.foreign = nethttp.OriginOf(req.URL.Scheme+"://"+req.URL.Host) != n.CertificateOrigin
	}
	if n.Unrepeatable == nil || !n.Unrepeatable(req) {
		resp, err := c.pool(key).RoundTrip(req)
		return resp, n.explained(req, err)
	}
	addr := c.address(req)
	key.unused = min(key.unused, c.lives.safe(addr))
	resp, err := c.pool(key).RoundTrip(req)
	if err == nil {
		c.lives.told(addr, resp.Header["Keep-Alive"])
	}
	return resp, n.explained(req, err)
}

func (c *connections) pool(key poolKey) transport {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.pools[key]
	if p == nil {
		p = c.network.pool(c.perHost, key.unused, !key.foreign, c.dial)
		c.pools[key] = p
	}
	return p
}

// CloseIdleConnections closes those of all pools.
func (c *connections) CloseIdleConnections() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range c.pools {
		p.CloseIdleConnections()
	}
}

// address returns what is dialled for a request: its proxy, if there is one, or its server.
func (c *connections) address(req *http.Request) string {
	u := req.URL
	if proxy, err := c.network.proxy()(req); err == nil && proxy != nil {
		u = proxy
	}
	return addressOf(u)
}

var defaultPorts = map[string]string{"http": "80", "https": "443", "socks5": "1080", "socks5h": "1080"}

func addressOf(u *url.URL) string {
	if u.Port() != "" {
		return u.Host
	}
	return strings.TrimSuffix(u.Host, ":") + ":" + defaultPorts[u.Scheme]
}

const (
	// usualLife is for how long a server is taken to keep an idle connection where nothing is known: Gunicorn's 2 s are
	// the shortest time that is anybody's default.
	usualLife = 2 * time.Second
	// shortestLife bounds what new connections cost however soon a server closes them: beyond three requests a second one
	// after the other they are kept.
	shortestLife = time.Second / 2
	// soonest is how soon a connection may be closed after an answer because of that answer.
	soonest = time.Second / 4
)

// lives is how long servers keep connections that nothing is sent on, by the address that is dialled. Of requests that
// may not be repeated at most one per connection is lost to find that out.
type lives struct {
	mu sync.Mutex
	of map[string]*life
}

type life struct {
	told time.Duration // by the last Keep-Alive header; 0: none
	seen time.Duration // the shortest one; 0: the server has closed none
}

// safe returns how long a connection may have been unused when a request is sent on it that may not be repeated. That is
// five eighths of its life: the rest is for the way there and back, and for clocks and timers. It is one of few values, since
// each stands for a pool.
func (l *lives) safe(addr string) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	known := usualLife
	if of := l.of[addr]; of != nil {
		if of.told > 0 {
			known = of.told
		}
		if of.seen > 0 {
			known = min(known, of.seen)
		}
	}
	d := shortestLife
	for 2*d <= known {
		d *= 2
	}
	return d * 5 / 8
}

// ended records that a server has closed a connection that was idle for so long.
func (l *lives) ended(addr string, idle time.Duration) {
	if idle < soonest {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if of := l.lifeLocked(addr); of.seen == 0 || idle < of.seen {
		of.seen = idle
	}
}

// told records what a server says in an answer's Keep-Alive header.
func (l *lives) told(addr string, keepAlive []string) {
	for _, value := range keepAlive {
		for part := range strings.SplitSeq(value, ",") {
			name, number, _ := strings.Cut(strings.TrimSpace(part), "=")
			if !strings.EqualFold(name, "timeout") {
				continue
			}
			seconds, err := strconv.ParseInt(strings.Trim(number, `"`), 10, 32)
			if err != nil || seconds < 0 {
				continue
			}
			l.mu.Lock()
			l.lifeLocked(addr).told = max(time.Duration(seconds)*time.Second, 1) // 0 is a life, and no unknown one
			l.mu.Unlock()
		}
	}
}

// lifeLocked requires that mu is held.
func (l *lives) lifeLocked(addr string) *life {
	of := l.of[addr]
	if of == nil {
		for old := range l.of { // what is forgotten costs a connection or two
			if len(l.of) < maxServers {
				break
			}
			delete(l.of, old)
		}
		of = new(life)
		l.of[addr] = of
	}
	return of
}
