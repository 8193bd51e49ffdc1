package relay

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/penstock/penstock/retry"
	"github.com/penstock/penstock/throttle"
)

// startDown runs a test in a world whose target cannot be reached.
func startDown(t *testing.T, o Options, do func(w *world)) {
	t.Helper()
	startUnreached(t, o, os.NewSyscallError("connect", syscall.ECONNREFUSED), do)
}

// startParkedDown is startDown where requests are parked.
func startParkedDown(t *testing.T, o Options, do func(w *world)) {
	t.Helper()
	startIn(t, 0, o, unreachable(os.NewSyscallError("connect", syscall.ECONNREFUSED)),
		func(http.ResponseWriter, *http.Request) {}, do)
}

// startUnreached runs a test in a world where connections to the target fail.
func startUnreached(t *testing.T, o Options, why error, do func(w *world)) {
	t.Helper()
	startIn(t, parkFrom, o, unreachable(why), func(http.ResponseWriter, *http.Request) {}, do)
}

// unreachable has connections to the target fail.
func unreachable(why error) func(*Options) {
	return func(o *Options) {
		o.Network.Dial = func(context.Context, string, string) (net.Conn, error) {
			return nil, &net.OpError{Op: "dial", Err: why}
		}
	}
}

// While the target is down, a request that the next try comes too late for is refused at once, and
// learns when that is, and for how long the target has been down.
func TestDownRefusesAtOnce(t *testing.T) {
	startDown(t, Options{GiveUpAfter: time.Hour, QueueWait: time.Hour}, func(w *world) {
		for range 5 {
			go w.send("PUT", "/x", "x")
		}
		time.Sleep(time.Minute)
		u := w.relay.transport.Upstream("http://target")
		tries := 0
		for range 60 {
			time.Sleep(500 * time.Millisecond)
			next := time.Until(u.Stats().Probe)
			req := w.request("PUT", "/y", "x")
			req.Header.Set("Prefer", "wait=2")
			a := w.do(req)
			if next <= 2*time.Second {
				if tries++; a.Attempts != 1 { // it is the next try
					t.Errorf("next try in %v, after %v: %s", next, a.took, a.body)
				}
				continue
			}
			again, err := time.ParseDuration(a.header.Get("Retry-After") + "s")
			if err != nil || again < next || again-next >= time.Second || a.took != 0 ||
				a.Status != 503 || a.Outcome != retry.Deferred || a.Attempts != 0 ||
				!strings.Contains(a.Detail, "(Prefer: wait=2)") ||
				!strings.Contains(a.Detail, "the server has been down since 2000-01-01T00:00:") {
				t.Errorf("next try in %v, after %v: %v %s", next, a.took, a.header, a.body)
			}
		}
		if tries == 0 || tries > 20 {
			t.Errorf("%d tries in 30 s", tries)
		}
		w.kill()
	})
}

// A request that the target does not accept is given up in time, also while it waits behind others,
// parked or not.
func TestGivenUpWhileDown(t *testing.T) {
	for _, start := range []func(*testing.T, Options, func(*world)){startDown, startParkedDown} {
		start(t, Options{GiveUpAfter: 15 * time.Second}, func(w *world) {
			var group sync.WaitGroup
			for range 12 {
				group.Go(func() {
					a := w.send("PUT", "/x", "x")
					took := a.took.Round(time.Millisecond)
					if a.Status != 503 || a.Outcome != retry.Deferred || took > 15*time.Second ||
						!strings.Contains(a.Detail, "--give-up-after") ||
						a.Attempts > 0 && !strings.Contains(a.Detail, "connection") {
						t.Errorf("after %v: %s", a.took, a.body)
					}
				})
			}
			group.Wait()
		})
	}
}

// What is parked before an outage and comes through it is answered, though it was looked at.
func TestParkedOverOutage(t *testing.T) {
	var down atomic.Bool
	o := Options{GiveUpAfter: 15 * time.Second, QueueWait: 5 * time.Minute,
		Limits: throttle.Limits{InFlight: 1, Fixed: true}}
	startWith(t, 0, o, func(rw http.ResponseWriter, _ *http.Request) {
		time.Sleep(4 * time.Second)
		if down.Load() {
			rw.WriteHeader(http.StatusServiceUnavailable)
		}
	}, func(w *world) {
		var group sync.WaitGroup
		for i := range 12 {
			group.Go(func() {
				if a := w.send("PUT", fmt.Sprint("/", i), "x"); a.status != 200 {
					t.Errorf("%d: %d after %v: %s", i, a.status, a.took, a.body)
				}
			})
		}
		time.Sleep(20 * time.Second)
		down.Store(true)
		time.Sleep(6 * time.Second)
		down.Store(false)
		group.Wait()
	})
}

// A target that is wrong is named in the log at once, and with one remedy in the answer.
func TestWrongHost(t *testing.T) {
	gone := &net.DNSError{Err: "no such host", Name: "target", IsNotFound: true}
	startUnreached(t, Options{}, gone, func(w *world) {
		for range 3 {
			a := w.send("PUT", "/x", "x")
			if a.Status != 502 ||
				!strings.HasSuffix(a.Detail, ": no such host: target: check the name") {
				t.Errorf("%s", a.body)
			}
		}
		line := "requests to http://target fail: no such host: target: check the name in --to"
		if log := w.logged(); strings.Count(log, line) != 1 {
			t.Errorf("logged %s", log)
		}
	})
}
