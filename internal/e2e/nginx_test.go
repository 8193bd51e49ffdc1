package e2e

import (
	"bytes"
	"os"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/servers"
	"github.com/penstock/penstock/internal/test"
)

// A rate that is not stated and has to be found.
func TestRate(t *testing.T) {
	together(t, true)
	s := servers.StartNginx(t, servers.NginxConfig{Rate: 50, Burst: 5, Refusal: 429})
	rate(t, s)
}

// [waiting] The same where a 429 asks for a second's pause: that holds every worker.
func TestRateRetryAfter(t *testing.T) {
	together(t, true)
	s := servers.StartNginx(t, servers.NginxConfig{Rate: 50, Burst: 5, Refusal: 429,
		RetryAfter: "1"})
	j := rate(t, s)
	if j.statuses[429] == 0 {
		t.Fatal("nothing was refused, so nothing was tested")
	}

	// A request that had left before the first 429 was read does not count.
	const clock = 3 * time.Millisecond // nginx's clock, twice
	last := time.Duration(0)
	for _, r := range j.log {
		for _, refused := range j.log {
			after := r.Arrived.Sub(refused.Answered)
			if refused.Status != 429 || after < 0 || after >= time.Second-clock {
				continue
			}
			if after > stall() {
				t.Errorf("%s was sent %v after %s was answered 429 with Retry-After: 1", r.URI,
					after, refused.URI)
			}
			last = max(last, after)
		}
	}
	t.Logf("the latest request in a pause came %v after its beginning", last)
}

func rate(t *testing.T, s *servers.Nginx) judged {
	dir := writeFiles(t, size(60, 1000), always(4<<10))
	r := send(t, 0, "--to", s.URL+"/{name}", dir)
	j := byNginx(t, s)
	j.check(t, dir, 0)
	j.waste(t, r, 0.05)
	if *large {
		atMost(t, r, "time", r.wall.Seconds(), 23, " s")
	}
	return j
}

// The limit as it is unless it is configured further: what is not evenly spaced is answered 503, at
// once.
func TestRate503(t *testing.T) {
	for name, tt := range map[string]struct {
		cfg   servers.NginxConfig
		args  []string
		time  float64 // at most, in seconds, of 1,000 files
		waste float64 // at most
	}{
		"50":           {servers.NginxConfig{Rate: 50}, nil, 24, .05},
		"50, told":     {servers.NginxConfig{Rate: 50}, []string{"--rps", "50"}, 22, .03},
		"50, burst 5":  {servers.NginxConfig{Rate: 50, Burst: 5}, nil, 1.25 * 1000 / 50, .05},
		"50, burst 20": {servers.NginxConfig{Rate: 50, Burst: 20}, nil, 1.25 * 1000 / 50, .05},
		"20":           {servers.NginxConfig{Rate: 20}, nil, 1.25 * 1000 / 20, .05},
		"100":          {servers.NginxConfig{Rate: 100}, nil, 1.25 * 1000 / 100, .05},
	} {
		t.Run(name, func(t *testing.T) {
			together(t, true)
			s := servers.StartNginx(t, tt.cfg)
			dir := writeFiles(t, size(60, 1000), always(4<<10))
			r := send(t, 0, append(tt.args, "--to", s.URL+"/{name}", dir)...)
			j := byNginx(t, s)
			j.check(t, dir, 0)
			if *large {
				j.waste(t, r, tt.waste)
				atMost(t, r, "time", r.wall.Seconds(), tt.time, " s")
			}
		})
	}
}

// A number of connections that is not stated.
func TestConnections(t *testing.T) {
	together(t, false)
	cfg := servers.NginxConfig{Conns: 4}
	dir := writeFiles(t, size(40, 200), always(size(256<<10, 1<<20)))
	told := 0.0
	if *large {
		told = 200 / plain(t, 4, servers.StartNginx(t, cfg).URL, dir)
	}
	s := servers.StartNginx(t, cfg)
	r := send(t, 0, "--to", s.URL+"/{name}", dir)
	j := byNginx(t, s)
	j.check(t, dir, 0)
	j.waste(t, r, 0.1)
	if *large {
		atMost(t, r, "time, of a plain client that was told", r.wall.Seconds()/told, 2, " times")
	}
}

// [pace] Told the server's rate, penstock is never refused.
func TestPaceIsNeverRefused(t *testing.T) {
	s := servers.StartNginx(t, servers.NginxConfig{Rate: 50, Burst: int(50 * stall().Seconds()),
		Refusal: 429})
	dir := writeFiles(t, size(60, 1000), smallSizes)
	send(t, 0, "--rps", "50", "--to", s.URL+"/{name}", dir)
	j := byNginx(t, s)
	j.check(t, dir, 0)
	if j.requests != size(60, 1000) || j.wasted != 0 {
		t.Errorf("%d requests, %d of them refused; want %d and none", j.requests, j.wasted,
			size(60, 1000))
	}
}

// As many requests at a time as the server allows, and never one more.
func TestConcurrencyIsNeverRefused(t *testing.T) {
	s := servers.StartNginx(t, servers.NginxConfig{Conns: 4})
	dir := writeFiles(t, size(60, 1000), func(int) int { return 256 << 10 })
	send(t, 0, "--concurrency", "4", "--to", s.URL+"/{name}", dir)
	j := byNginx(t, s)
	j.check(t, dir, 0)
	if j.requests != size(60, 1000) || j.wasted != 0 {
		t.Errorf("%d requests, %d of them refused; want %d and none", j.requests, j.wasted,
			size(60, 1000))
	}
}

func TestTLS(t *testing.T) {
	s := servers.StartNginx(t, servers.NginxConfig{TLS: true})
	dir := writeFiles(t, 8, func(i int) int { return i * (1<<19 + 1) })
	send(t, 0, "--cacert", s.CACert, "--to", s.URL+"/{name}", dir)
	byNginx(t, s).check(t, dir, 0)
}

// Without the CA nothing is sent, and the exit status says that it was not an item's fault.
func TestTLSUntrusted(t *testing.T) {
	s := servers.StartNginx(t, servers.NginxConfig{TLS: true})
	send(t, 2, "--to", s.URL+"/{name}", writeFiles(t, 1, smallSizes))
	if log := byNginx(t, s).log; len(log) != 0 {
		t.Errorf("%d requests reached a server that is not trusted", len(log))
	}
}

// Refused over and over, with bodies that do not fit any buffer: a body that is sent again is the
// whole body.
func TestRepeatedBodiesAreWhole(t *testing.T) {
	s := servers.StartNginx(t, servers.NginxConfig{Conns: 2, RetryAfter: "1"})
	dir := writeFiles(t, 8, func(int) int { return 1 << 20 })
	send(t, 0, "--concurrency", "8", "--to", s.URL+"/{name}", dir)
	j := byNginx(t, s)
	j.check(t, dir, 0)
	if j.statuses[503] == 0 {
		t.Fatal("nothing was refused, so nothing was tested")
	}
}

// However a run ends, what the server has is whole; the same command then delivers the rest.
func TestEndedRunLeavesNothingShort(t *testing.T) {
	for name, stop := range map[string]os.Signal{"killed": os.Kill, "interrupted": os.Interrupt} {
		t.Run(name, func(t *testing.T) {
			s := servers.StartNginx(t, servers.NginxConfig{})
			dir := writeFiles(t, 16, func(int) int { return 1 << 20 })
			args := []string{"--to", s.URL + "/{name}", dir}

			cmd := command(t, append([]string{"--concurrency", "4", "--bandwidth", "8MiB/s"},
				args...)...)
			var out bytes.Buffer
			cmd.Stdout, cmd.Stderr = &out, &out
			test.OK(t, cmd.Start())
			ended := make(chan struct{})
			go func() { cmd.Wait(); close(ended) }()
			for stored(t, s, dir) == 0 {
				select {
				case <-ended:
					t.Fatalf("it ended before anything was stored:\n%s", out.Bytes())
				case <-time.After(5 * time.Millisecond):
				}
			}
			test.OK(t, cmd.Process.Signal(stop))
			<-ended
			if got, want := cmd.ProcessState.ExitCode(), 130; stop == os.Interrupt && got != want {
				t.Errorf("%s\nexit status %d, want %d", out.Bytes(), got, want)
			}
			whole := stored(t, s, dir)
			if whole == 16 {
				t.Error("all was stored, so nothing was tested")
			}
			t.Logf("%d of 16 stored when it ended", whole)

			send(t, 0, args...)
			byNginx(t, s).check(t, dir, 16) // a kill loses what is not yet on disk
		})
	}
}
