package send

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/exit"
	"github.com/penstock/penstock/internal/memnet"
	"github.com/penstock/penstock/internal/progress"
	"github.com/penstock/penstock/internal/race"
	"github.com/penstock/penstock/internal/report"
	"github.com/penstock/penstock/internal/source"
	"github.com/penstock/penstock/throttle"
)

// [outage] An outage of a minute: the server is left alone meanwhile, and worked at full pace soon
// after, however few files are left.
func TestOutage(t *testing.T) {
	const from, to = 10 * time.Second, 70 * time.Second
	type row struct {
		name  string
		files int
		down  http.HandlerFunc // if nil, connections are refused
		post  bool
	}
	rows := []row{
		{"refused, in the middle", 1000, nil, false},
		{"refused, near the end", 203, nil, false},
		{"refused, one or two are left", 202, nil, false},
		{"refused, POST", 1000, nil, true},
		{"reset, in the middle", 1000, func(w http.ResponseWriter,
			_ *http.Request) {
			hijacked(w, "", (*memnet.Conn).Reset)
		}, false},
		{"no HTTP, in the middle", 1000, func(w http.ResponseWriter,
			_ *http.Request) {
			hijacked(w, "what?\r\n\r\n", (*memnet.Conn).Close)
		}, false},
	}
	for _, status := range []int{500, 503} {
		down := answering(status)
		rows = append(rows, row{fmt.Sprintf("%d, in the middle", status), 1000, down, false},
			row{fmt.Sprintf("%d, near the end", status), 203, down, false},
			row{fmt.Sprintf("%d, one or two are left", status), 202, down, false},
			row{fmt.Sprintf("%d, POST", status), 1000, down, true})
	}
	for i, c := range rows {
		t.Run(c.name, func(t *testing.T) {
			race.Few(t, i)
			t.Parallel()
			handler := taking(100 * time.Millisecond)
			if c.down != nil {
				handler = during(from, to, c.down, handler)
			}
			onFakeTime(t, c.files, handler, func(w *world) {
				w.Limits.Rate = 20
				if c.post {
					w.method("POST")
				}
				if c.down == nil {
					w.Header = http.Header{"Connection": {"close"}} // so that the outage is seen
					time.AfterFunc(from, func() { w.net.Refuse(true) })
					time.AfterFunc(to, func() { w.net.Refuse(false) })
				}
				s := w.run()
				var flying int
				for _, snap := range w.watch.snapshots {
					if snap.Elapsed < from {
						flying = snap.InFlight
					}
				}
				if extra := s.Requests.Sent - s.Requests.Accepted - int64(flying); extra > 12 {
					t.Errorf("%d requests to a server that was down, beyond %d in flight", extra,
						flying)
				}
				if unknown := s.Items.Unknown; c.post && unknown > 0 &&
					unknown <= s.Requests.Sent-s.Requests.Accepted {
					// those in flight, and the probes
					w.ended(s, exit.Items, int64(c.files)-unknown, 0, unknown, 0, 0)
				} else {
					w.ended(s, exit.Delivered, int64(c.files), 0, 0, 0, 0)
				}
				// an idle connection's end says nothing
				sent, q := float64(s.Requests.Sent), s.Requests
				if want := 1 - float64(q.Accepted)/sent; math.Abs(q.Waste-want) > 1.5/sent {
					t.Errorf("waste %v, want %v", s.Requests.Waste, want)
				}
				const full = to + 15*time.Second
				if left := w.accepted(full, always); left > 0 {
					if n := w.accepted(full, full+10*time.Second); n < 195 && left > 200 {
						t.Errorf("%d accepted in ten seconds, a while after the outage", n)
					}
					if c.files < 1000 {
						t.Errorf("%d accepted late, at the end after %v", left, w.since())
					}
				}
				w.logged("http://127.0.0.1 is down (", 1)
				w.logged("http://127.0.0.1 answers again; nothing was accepted for 1 m", 1)
				if s.Waited[progress.LimitDown] < 60 || s.Waited[progress.LimitDown] > 70 {
					t.Errorf("%v s of a minute down", s.Waited[progress.LimitDown])
				}
				for _, snap := range w.watch.snapshots {
					if snap.Limit == progress.LimitDown && snap.Elapsed < from {
						t.Fatalf("said to be down after %v", snap.Elapsed)
					}
				}
				at := w.watch.snapshots[int((from+to)/2/tick)]
				if words := "server down (connection refused): "; at.Limit != progress.LimitDown ||
					c.down == nil && !strings.HasPrefix(at.Holding, words) {
					t.Errorf("in the middle of it, held back by %q, %q", at.Limit, at.Holding)
				}
			})
		})
	}
}

// Of three servers in one manifest the first wants to be left alone for ten minutes and the second
// is down for one. The third notices nothing.
func TestOutageOfOneServerAmongThree(t *testing.T) {
	const each = 100
	take := taking(50 * time.Millisecond)
	byHost := map[string]http.HandlerFunc{
		"127.0.0.1": inTurn(answering(http.StatusServiceUnavailable, "Retry-After", "600"), take),
		"127.0.0.2": during(0, time.Minute, answering(http.StatusServiceUnavailable), take),
		"127.0.0.3": take,
	}
	onFakeTime(t, 1, func(w http.ResponseWriter, r *http.Request) { byHost[r.Host](w, r) },
		func(w *world) {
			w.hosts(3, each)
			accepted := func(host int, from, to time.Duration) int {
				return w.count(func(c *call) bool {
					return c.host == fmt.Sprintf("127.0.0.%d", host) && from < c.accepted &&
						c.accepted < to
				})
			}
			w.Limits.InFlight = 4
			w.GiveUpAfter = 5 * time.Minute
			s := w.run()
			w.ended(s, exit.Delivered, 3*each, 0, 0, 0, 0)
			if n := accepted(3, 0, 3*time.Second); n != each {
				t.Errorf("the third server had %d of %d after three seconds", n, each)
			}
			if n := accepted(2, 0, 75*time.Second); n != each {
				t.Errorf("the second server had %d of %d 15 s after its outage", n, each)
			}
			if n := accepted(1, 10*time.Minute, 10*time.Minute+8*time.Second); n < each-1 {
				t.Errorf("the first server had %d of %d soon after its pause", n, each)
			}
			words := strings.Join(w.watch.holding(), "\n")
			for _, want := range []string{"2 servers are paused or down\n",
				"\n127.0.0.2: server down (503): next try within 8 s, gives up at 00:05; " +
					"127.0.0.1 is paused 9 m", "\n127.0.0.1: paused 5 m 0 s: Retry-After\n"} {
				if !strings.Contains(words, want) {
					t.Errorf("it never says %q but\n%s", want, words[:min(len(words), 2500)])
				}
			}
		})
}

// An outage of one of those in between, the proxy or TLS, in the middle of a run.
func TestOutageOfWhatIsInBetween(t *testing.T) {
	const from, to = 10 * time.Second, 70 * time.Second
	for _, proxied := range []bool{true, false} {
		var config *tls.Config
		var tries, accepted atomic.Int64
		var begin time.Time
		onRawServer(t, 300, func(c net.Conn) {
			since := time.Since(begin)
			down := since >= from && since < to
			if down {
				tries.Add(1)
			}
			if proxied {
				if _, err := http.ReadRequest(bufio.NewReader(c)); err != nil {
					return
				}
				if down {
					_, _ = io.WriteString(c, "HTTP/1.1 502 Bad Gateway\r\n\r\n")
					return
				}
				_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\n\r\n")
			}
			conf := config
			if down {
				conf = new(tls.Config) // without a certificate
			}
			secure := tls.Server(c, conf)
			defer secure.Close()
			req, err := http.ReadRequest(bufio.NewReader(secure))
			if err != nil {
				return
			}
			_, _ = io.Copy(io.Discard, req.Body)
			accepted.Add(1)
			_, _ = io.WriteString(secure,
				"HTTP/1.1 201 Created\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
		}, func(w *world) {
			begin = time.Now()
			config = w.https()
			who, why := "https://h.example", "TLS failed"
			if proxied {
				w.Network.Proxy = &url.URL{Scheme: "http", Host: "proxy.example"}
				who, why = "the proxy proxy.example:80", "502 Bad Gateway"
			}
			w.to("https://h.example/{path}")
			w.Limits.Rate = 10
			s := w.run()
			w.ended(s, exit.Delivered, 300, 0, 0, 0, 0)
			if n := tries.Load(); n < 5 || n > 12 {
				t.Errorf("%d tries while it was down", n)
			}
			if w.since() > to+30*time.Second {
				t.Errorf("over after %v", w.since())
			}
			w.talks(who+" is down ("+why+"): one try at a time until it answers, for 1 h at most "+
				"(--give-up-after)", who+" answers again; nothing was accepted for 1 m")
		})
	}
}

// A name server that fails, or does not answer, is an outage, also from the start.
func TestOutageOfDNS(t *testing.T) {
	for _, failure := range []*net.DNSError{
		{Err: "server misbehaving", IsTemporary: true},
		{Err: "i/o timeout", IsTimeout: true, IsTemporary: true},
		// as some resolvers say when they could not ask
		{Err: "no such host", IsNotFound: true, IsTemporary: true},
	} {
		var tries int
		onFakeTime(t, 50, atOnce, func(w *world) {
			dial := w.Network.Dial
			w.Network.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
				if w.since() < time.Minute {
					tries++
					return nil, &net.OpError{Op: "dial", Net: "tcp", Err: failure}
				}
				return dial(ctx, network, addr)
			}
			w.ended(w.run(), exit.Delivered, 50, 0, 0, 0, 0)
			if tries > 12 || !strings.Contains(w.watch.talk.String(),
				"is down (its name cannot be looked up)") {
				t.Errorf("%v: %d tries\n%s", failure, tries, w.watch.talk.String())
			}
		})
	}
}

// However many files that may not be repeated are in flight when an outage begins, only the probes
// that come after them count towards the twenty that end a run.
func TestOutageFindsManyInFlight(t *testing.T) {
	const from, to = 5 * time.Second, 65 * time.Second
	for _, status := range []int{500, 504} {
		down := answering(status)
		late := func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(time.Second)
			during(from, to, down, atOnce)(w, r)
		}
		onFakeTime(t, 600, late, func(w *world) {
			w.method("POST")
			w.Limits.InFlight = 50
			s := w.run()
			n := s.Items.Unknown
			w.ended(s, exit.Items, 600-n, 0, n, 0, 0)
			if n <= 50 || n > 50+12 {
				t.Errorf("%d: %d files are unknown, want the 50 that were in flight, and probes",
					status, n)
			}
		})
	}
}

// [open files] Where few files may be open few connections are made, those to servers that are done
// with are closed, and nothing fails: also where a connection fails for it all the same.
func TestFewOpenFiles(t *testing.T) {
	const hosts = 200
	onFakeTime(t, 1, taking(50*time.Millisecond), func(w *world) {
		var lines strings.Builder
		for i := range 400 {
			fmt.Fprintf(&lines, "{\"path\":%q,\"url\":\"http://10.0.0.%d/%d\"}\n", w.firstFile(),
				i%hosts, i)
		}
		w.manifest(lines.String())
		dial := w.Network.Dial
		var mu sync.Mutex
		var dialled, open, most int
		w.Network.MaxFiles = 64
		w.Network.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
			mu.Lock()
			defer mu.Unlock()
			if dialled++; dialled%5 == 0 {
				return nil, &net.OpError{Op: "dial", Net: "tcp",
					Err: os.NewSyscallError("socket", syscall.EMFILE)}
			}
			c, err := dial(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			open++
			most = max(most, open)
			return closedConn{c, sync.OnceFunc(func() {
				mu.Lock()
				defer mu.Unlock()
				open--
			})}, nil
		}
		s := w.run()
		w.ended(s, exit.Delivered, 400, 0, 0, 0, 0)
		if most > 20 || s.Requests.Sent != 400 || w.since() > 10*time.Second {
			t.Errorf("%d connections at once, %d requests in %v", most, s.Requests.Sent, w.since())
		}
		w.logged("only 64 files may be open at once (ulimit -n): there are no more than 20 "+
			"connections", 1)
	})
}

// closedConn calls closed when it is closed.
type closedConn struct {
	net.Conn
	closed func()
}

func (c closedConn) Close() error {
	c.closed()
	return c.Conn.Close()
}

// A server that hangs for 70 seconds gets no more than what was in flight, and probes.
func TestOutageThatHangs(t *testing.T) {
	const from, to = 10 * time.Second, 80 * time.Second
	for _, method := range []string{"PUT", "POST"} {
		hang := func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body) // or the server does not see the connection's end
			<-r.Context().Done()
		}
		onFakeTime(t, 2000, during(from, to, hang, taking(100*time.Millisecond)), func(w *world) {
			w.method(method)
			w.Limits.Rate, w.Limits.InFlight = 20, 8
			s := w.run()
			if n := s.Items.Unknown; method == "POST" && n >= 8 && n <= 8+12 {
				w.ended(s, exit.Items, 2000-n, 0, n, 0, 0)
			} else {
				w.ended(s, exit.Delivered, 2000, 0, 0, 0, 0)
			}
			if n := s.Requests.Sent - s.Requests.Accepted; n > 8+12 {
				t.Errorf("%s: %d requests to a server that hung", method, n)
			}
			// a probe may hang, and the next one comes 20 seconds after it
			const full = to + 25*time.Second
			if n := w.accepted(full, full+10*time.Second); n < 195 {
				t.Errorf("%s: %d accepted in ten seconds, a while after it", method, n)
			}
		})
	}
}

// A quota that is used up is waited for, also where a file was refused a moment before the last one
// was accepted.
func TestQuotaAtTheEnd(t *testing.T) {
	take, begin := taking(100*time.Millisecond), time.Time{}
	usedUp := during(0, 10*time.Minute, func(w http.ResponseWriter, r *http.Request) {
		left := max(1, int((10*time.Minute-time.Since(begin))/time.Second))
		answering(429, "Retry-After", strconv.Itoa(left))(w, r)
	}, take)
	handlers := append(slices.Repeat([]http.HandlerFunc{take}, 15), usedUp)
	handlers[9] = answering(429, "Retry-After", "1")
	onFakeTime(t, 20, inTurn(handlers...), func(w *world) {
		begin = w.begin
		w.Limits.InFlight = 2
		w.ended(w.run(), exit.Delivered, 20, 0, 0, 0, 0)
	})
}

// One refusal and then silence, while slow answers are awaited, is no outage.
func TestServerSlow(t *testing.T) {
	slow := taking(10 * time.Second)
	onFakeTime(t, 8, inTurn(slow, answering(http.StatusServiceUnavailable), slow), func(w *world) {
		w.Limits.InFlight = 4
		w.ended(w.run(), exit.Delivered, 8, 0, 0, 0, 0)
		for _, words := range w.watch.holding() {
			if strings.Contains(words, "down") {
				t.Errorf("held back by %q", words)
			}
		}
	})
}

// A server that refuses some requests at random is not said to be down when it refuses a few in a
// row.
func TestRandomRefusalsAreNoOutage(t *testing.T) {
	for _, c := range []struct {
		name   string
		status int
		accept time.Duration // it is down from then on, for a minute; 0: never
		says   bool
	}{
		{"500", http.StatusInternalServerError, 0, false},
		{"502", http.StatusBadGateway, 0, false},
		{"503", http.StatusServiceUnavailable, 0, false},
		{"500, and an outage", http.StatusInternalServerError, 20 * time.Second, true},
		{"503, and an outage", http.StatusServiceUnavailable, 20 * time.Second, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var n atomic.Int64
			began := time.Time{}
			onFakeTime(t, 200, func(rw http.ResponseWriter, r *http.Request) {
				i, since := n.Add(1), time.Since(began)
				down := c.accept > 0 && since >= c.accept && since < c.accept+time.Minute
				if i%5 == 0 || i%40 >= 30 && i%40 < 34 || down {
					rw.WriteHeader(c.status)
					return
				}
				accept(rw, r, 100*time.Millisecond)
			}, func(w *world) {
				began = w.begin
				w.Attempts = 1000
				w.Limits.Rate = 10
				s := w.run()
				w.ended(s, exit.Delivered, 200, 0, 0, 0, 0)
				if says := strings.Contains(w.watch.talk.String(), " is down ("); says != c.says {
					t.Errorf("it is said to be down: %v\n%s", says, w.watch.talk.String())
				}
				if shows := strings.Contains(strings.Join(w.watch.holding(), "\n"),
					"server down"); shows != c.says {
					t.Errorf("it is shown to be down: %v: %q", shows, w.watch.holding())
				}
			})
		})
	}
}

// A server that was down for a while is not said to refuse a pace, or to take so many at once.
func TestOutageAccusesNobody(t *testing.T) {
	for name, limits := range map[string]throttle.Limits{"given": {Rate: 10}, "found": {}} {
		t.Run(name, func(t *testing.T) {
			var once sync.Once
			var begin time.Time
			onFakeTime(t, 600, func(w http.ResponseWriter, r *http.Request) {
				once.Do(func() { begin = time.Now() })
				if d := time.Since(begin); d > 4*time.Second && d < 24*time.Second {
					w.WriteHeader(http.StatusServiceUnavailable)
					return
				}
				accept(w, r, 100*time.Millisecond)
			}, func(w *world) {
				w.Limits = limits
				s := w.run()
				w.ended(s, exit.Delivered, 600, 0, 0, 0, 0)
				if limits.Rate > 0 && s.Learned != (progress.Learned{}) {
					t.Errorf("it learned %+v", s.Learned)
				}
				for _, words := range w.watch.holding() {
					if strings.Contains(words, "the server refuses") ||
						strings.Contains(words, "is refused") {
						t.Errorf("it says %q", words)
					}
				}
			})
		})
	}
}

// In an outage there are no rates. When a server takes the bytes of a large file again it is not
// said to be down, and the outage lasted until then, not until the file was accepted.
func TestOutageOfLargeFiles(t *testing.T) {
	const bandwidth = 2 << 20
	var down atomic.Bool
	serve := sharing(bandwidth, 0)
	onFakeTime(t, 0, func(w http.ResponseWriter, r *http.Request) {
		r.Body = failing{r.Body, &down}
		serve(w, r)
	}, func(w *world) {
		dir := w.TempDir()
		for _, name := range []string{"a", "b", "c", "d"} {
			if err := errors.Join(os.WriteFile(filepath.Join(dir, name), nil, 0o600),
				os.Truncate(filepath.Join(dir, name), 20<<20)); err != nil {
				w.Fatal(err)
			}
		}
		w.from("http://127.0.0.1/{path}", source.Options{Paths: []string{dir}})
		w.Limits.InFlight = 1
		const begins, ends = 15 * time.Second, 35 * time.Second
		time.AfterFunc(begins, func() { down.Store(true); w.net.Refuse(true) })
		time.AfterFunc(ends, func() { down.Store(false); w.net.Refuse(false) })
		w.ended(w.run(), exit.Delivered, 4, 0, 0, 0, 0)
		var bytes int64
		for _, s := range w.watch.snapshots {
			if s.Elapsed > begins+4*time.Second && s.Elapsed < ends &&
				(s.BytesPerSecond != 0 || s.FilesPerSecond != 0) {
				w.Fatalf("after %v: %g bytes, %g files a second", s.Elapsed, s.BytesPerSecond,
					s.FilesPerSecond)
			}
			if s.Elapsed > ends && s.Bytes > bytes+1<<16 && bytes > 0 &&
				(strings.Contains(s.Holding, "server down") || s.BytesPerSecond == 0) {
				w.Fatalf("after %v: %q, at %g bytes a second", s.Elapsed, s.Holding,
					s.BytesPerSecond)
			}
			bytes = s.Bytes
		}
		if holding := w.watch.holding(); !slices.ContainsFunc(holding,
			func(s string) bool {
				return strings.HasPrefix(s, "reached again: sending one file to try it")
			}) {
			w.Errorf("%q", holding)
		}
		talk := w.watch.talk.String()
		_, last, _ := strings.Cut(talk, "answers again; it was down for ")
		if last, _, _ = strings.Cut(last, " s"); !slices.Contains([]string{"20", "21", "22", "23",
			"24", "25"}, last) {
			w.Errorf("down for %q s\n%s", last, talk)
		}
	})
}

// A failing is a body that cannot be read any more while down is true.
type failing struct {
	io.ReadCloser
	down *atomic.Bool
}

func (f failing) Read(p []byte) (int, error) {
	if f.down.Load() {
		return 0, io.ErrUnexpectedEOF
	}
	return f.ReadCloser.Read(p)
}

// While the server accepts nothing at all no file fails. When that has lasted long enough the run
// ends.
func TestOutageOfErrors(t *testing.T) {
	for _, back := range []bool{true, false} {
		var begin time.Time
		server := nth(func(n int, w http.ResponseWriter, _ *http.Request) bool {
			if since := time.Since(begin); since > time.Second && (since < 5*time.Minute || !back) {
				w.WriteHeader(http.StatusInternalServerError)
				return true
			}
			return false
		})
		onFakeTime(t, 100, server, func(w *world) {
			begin = time.Now()
			w.Limits.Rate, w.Limits.InFlight, w.GiveUpAfter = 2, 4, 20*time.Minute
			summary := w.journaled()
			if back {
				w.items(summary, report.ItemCounts{Total: 100, Delivered: 100})
			} else {
				w.ended(summary, exit.Unavailable, 3, 0, 0, summary.Items.Deferred,
					97-summary.Items.Deferred)
				if after := w.GiveUpAfter + time.Second; w.since() < after ||
					w.since() > after+time.Second {
					t.Errorf("it gave up after %v", w.since())
				}
			}
		})
	}
}

// [outage] Files that fail once all others are accepted may meet an outage: only a single one that
// always times out is failed by its attempts.
func TestLastFiles(t *testing.T) {
	// By then the others have left, in whatever order two workers sent the last.
	refuses := func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(time.Second)
		answering(500)(w, r)
	}
	timesOut := func(http.ResponseWriter, *http.Request) { time.Sleep(2 * time.Minute) }
	for _, c := range []struct {
		name             string
		last             int
		refuse           http.HandlerFunc
		status           int
		failed, deferred int64
	}{
		{"one gets 500", 1, refuses, exit.Unavailable, 0, 1},
		{"two get 500", 2, refuses, exit.Unavailable, 0, 2},
		{"one times out", 1, timesOut, exit.Items, 1, 0},
		{"two time out", 2, timesOut, exit.Unavailable, 0, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			const files = 10
			onFakeTime(t, files, func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path < fmt.Sprintf("/%05d", files-c.last) {
					accept(w, r, 0)
				} else {
					c.refuse(w, r)
				}
			}, func(w *world) {
				w.Limits.InFlight = 2
				w.GiveUpAfter = 30 * time.Minute
				s := w.run()
				w.ended(s, c.status, int64(files-c.last), c.failed, 0, c.deferred, 0)
				if gaveUp := w.since() >= w.GiveUpAfter; gaveUp != (c.deferred > 0) {
					t.Errorf("over after %v", w.since())
				}
			})
		})
	}
}
