package throttle

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock/penstock/internal/memnet"
	"github.com/penstock/penstock/internal/race"
)

const mb = 1e6

// TestLongTransfers uploads as many files as may be in flight. Each has at most a
// bandwidth of its own, and all together no more than the link.
func TestLongTransfers(t *testing.T) {
	for i, test := range []struct {
		name             string
		files            int
		size, each, link float64
		told             int           // the best fixed limit
		best, took       time.Duration // with that, and with none given
		most             int           // in flight at any time
		mean             float64       // in flight after the first 20 s, at most; 0: that does not matter
	}{
		{"12 of 5 s", 12, 10 * mb, 2 * mb, math.Inf(1), 12, 5 * time.Second, 6 * time.Second, 12, 0},
		{"4 of 100 s", 4, 200 * mb, 2 * mb, math.Inf(1), 4, 100 * time.Second, 100*time.Second + 500*ms, 4, 0},
		{"1,000 of 10 s", 1000, 20 * mb, 2 * mb, math.Inf(1), 256, 40 * time.Second, 43 * time.Second, 256, 0},
		{"shared, 10 s", 100, 20 * mb, 2 * mb, 10 << 20, 6, 0, 0, 8, 7.86},
		{"shared, 100 s", 20, 200 * mb, 2 * mb, 10 << 20, 6, 0, 0, 8, 7.86},
		{"one fills it", 40, 20 * mb, 1000 * mb, 10 << 20, 1, 0, 0, 2, 4},
	} {
		t.Run(test.name, func(t *testing.T) {
			race.Few(t, i)
			upload := func(limits Limits) (took time.Duration, most int, mean float64) {
				u := NewUpstream(limits)
				begin := time.Now()
				permits := make(chan *Permit, test.files)
				for range test.files {
					go func() {
						p, err := u.Acquire(context.Background(), 1)
						if err != nil {
							t.Error(err)
						}
						permits <- p
					}()
				}
				sent := map[*Permit]float64{}
				var inFlight []*Permit
				ticks, area := 0.0, 0.0
				for left := test.files; left > 0; {
					synctest.Wait()
					for len(permits) > 0 {
						inFlight = append(inFlight, <-permits)
					}
					s := u.Stats()
					if time.Since(begin) > 20*time.Second && s.Waiting > 0 { // at the end too few are left
						ticks, area = ticks+1, area+float64(s.InFlight)
					}
					time.Sleep(sampleEvery)
					each := min(test.each, test.link/float64(len(inFlight))) * sampleEvery.Seconds()
					inFlight = slices.DeleteFunc(inFlight, func(p *Permit) bool {
						sent[p] += each
						p.Progress(int64(sent[p]), int64(test.size))
						if sent[p] < test.size {
							return false
						}
						p.Done(Feedback{Signal: SignalSuccess, Bytes: int64(test.size), Server: ms})
						left--
						return true
					})
				}
				return time.Since(begin), u.Stats().MaxInFlight, area / ticks
			}
			synctest.Test(t, func(t *testing.T) {
				best, _, _ := upload(Limits{InFlight: test.told})
				took, most, mean := upload(Limits{})
				if test.best > 0 && (best != test.best || took != test.took) {
					t.Errorf("took %v, and with %d in flight %v; want %v and %v", took, test.told, best, test.took, test.best)
				}
				if took > best*13/10 {
					t.Errorf("took %v, more than 1.3 times the %v with %d in flight", took, best, test.told)
				}
				// The order in which two uploads end at one instant makes a little difference.
				if allowed := max(test.most, int(test.mean)); most > allowed || test.mean > 0 && mean > test.mean {
					t.Errorf("%d in flight, after 20 s %.2f in the mean; want at most %d and %.2f", most, mean, allowed, test.mean)
				}
			})
		})
	}
}

func TestBytesPerSecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := NewUpstream(Limits{InFlight: 2})
		want := func(bytes float64) {
			t.Helper()
			if got := u.Stats().BytesPerSecond; got != bytes {
				t.Errorf("%v bytes a second, want %v", got, bytes)
			}
		}
		var p [2]*Permit
		for i := range p {
			p[i], _ = u.Acquire(t.Context(), 1)
		}
		want(0)
		for i := range 40 {
			time.Sleep(100 * ms)
			p[0].Progress(int64(i)*1000, -1)
			p[1].Progress(int64(i)*3000, 1_000_000)
		}
		want(40_000)
		p[1].Done(Feedback{Signal: SignalSuccess})
		p[1].Progress(150_000, 1_000_000) // too late
		for i := range 20 {
			time.Sleep(100 * ms)
			p[0].Progress(int64(40+i)*1000, -1)
		}
		want(10_000)
		p[0].Release()
		want(0)
	})
}

// An ackedConn counts what was written, as a kernel counts what was acknowledged.
type ackedConn struct {
	net.Conn
	acked atomic.Int64
}

func (c *ackedConn) Acked() int64 { return c.acked.Load() }

func (c *ackedConn) Write(p []byte) (n int, err error) {
	for len(p) > 0 && err == nil { // as it goes
		var m int
		m, err = c.Conn.Write(p[:min(len(p), 4<<10)])
		c.acked.Add(int64(m))
		n, p = n+m, p[m:]
	}
	return n, err
}

// TestTransportLongTransfers uploads 12 bodies of 5 s.
func TestTransportLongTransfers(t *testing.T) {
	for _, test := range []struct {
		name              string
		tls, http2, acked bool
	}{
		{"by the connections", false, false, true},
		{"by the connections below TLS", true, false, true},
		{"by what is read of the bodies, TLS", true, false, false},
		{"by what is read of the bodies, HTTP/2", true, true, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := memnet.Listen()
				server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					p := make([]byte, 20_000)
					for {
						if _, err := io.ReadFull(r.Body, p); err != nil {
							return
						}
						time.Sleep(10 * ms)
					}
				}))
				server.Listener.Close()
				server.Listener = l
				server.EnableHTTP2 = test.http2
				// Each body is held up by its own window, not by that of all.
				server.Config.HTTP2 = &http.HTTP2Config{MaxReceiveBufferPerStream: 128 << 10, MaxReceiveBufferPerConnection: 16 << 20}
				base := &http.Transport{
					DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
						c, err := l.DialContext(ctx, network, addr)
						if err == nil && test.acked {
							c = &ackedConn{Conn: c}
						}
						return c, err
					},
					TLSClientConfig:     &tls.Config{InsecureSkipVerify: true},
					ForceAttemptHTTP2:   test.http2,
					MaxIdleConnsPerHost: 100,
				}
				url := "http://server/"
				if test.tls {
					url = "https://server/"
					server.StartTLS()
				} else {
					server.Start()
				}
				defer func() {
					base.CloseIdleConnections()
					server.Close()
					time.Sleep(time.Second)
				}()
				tr := &Transport{Base: base}
				var group sync.WaitGroup
				for range 12 {
					group.Go(func() {
						resp, err := (&http.Client{Transport: tr}).Post(url, "", bytes.NewReader(make([]byte, 10*mb)))
						if err != nil {
							t.Error(err)
							return
						}
						resp.Body.Close()
					})
				}
				begin := time.Now()
				group.Wait()
				took := time.Since(begin)
				u := tr.Upstream(url[:len(url)-1])
				if most := u.Stats().MaxInFlight; most != 12 || took > 7500*ms {
					t.Errorf("took %v with up to %d in flight, want at most 1.5 times 5s and 12", took, most)
				}
				time.Sleep(2 * sampleEvery)
				u.sampler.mu.Lock()
				defer u.sampler.mu.Unlock()
				if u.sampler.running || len(u.sampler.samples) > 0 {
					t.Errorf("%d samples are taken after the last body", len(u.sampler.samples))
				}
			})
		})
	}
}

// TestTransportLeavesFilesAlone checks that a file is still one for the base transport:
// net/http has it go by sendfile.
func TestTransportLeavesFilesAlone(t *testing.T) {
	name := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(name, make([]byte, 2*longBody), 0o666); err != nil {
		t.Fatal(err)
	}
	for url, untouched := range map[string]bool{"http://server/": true, "https://server/": false} {
		file, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		req, err := http.NewRequest("PUT", url, file)
		if err != nil {
			t.Fatal(err)
		}
		tr := &Transport{Base: roundTripper(func(r *http.Request) (*http.Response, error) {
			if _, is := r.Body.(*os.File); is != untouched {
				t.Errorf("%s: the body is a %T", url, r.Body)
			}
			r.Body.Close()
			return answerWith(200), nil
		})}
		resp, err := tr.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
	}
}
