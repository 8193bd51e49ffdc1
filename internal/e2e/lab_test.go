package e2e

import (
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/lab"
)

// The servers of these tests are penstock's own, since no other has these limits.

func TestTutorial(t *testing.T) {
	together(t, true)
	s, url := startLab(t, "tutorial", "")
	dir := writeFiles(t, size(12, 60), always(4<<10))
	r := send(t, 0, "--to", url+"/{name}", dir)
	j := byLabs(s)
	j.check(t, dir, 0)
	atMost(t, r, "refusals", float64(j.statuses[http.StatusTooManyRequests]), 3, "")
	if *large {
		atMost(t, r, "time", r.wall.Seconds(), 18.5, " s")
	}
}

// Four in any second whatever, which a client at exactly that pace exceeds by a hair now and then.
func TestSlidingWindow(t *testing.T) {
	for name, params := range map[string]string{
		"told when":          "",
		"not told":           "retry-after=false",
		"counting":           "count-refused=true",
		"counting, not told": "count-refused=true retry-after=false",
	} {
		t.Run(name, func(t *testing.T) {
			together(t, true)
			s, url := startLab(t, "window", "n=4 window=1s kind=sliding "+params)
			dir := writeFiles(t, size(12, 60), always(4<<10))
			r := send(t, 0, "--rps", "4", "--to", url+"/{name}", dir)
			j := byLabs(s)
			j.check(t, dir, 0)
			refusals := float64(j.statuses[http.StatusTooManyRequests])
			if params == "" || params == "retry-after=false" {
				atMost(t, r, "refusals", refusals, 3, "")
				if *large {
					atMost(t, r, "time", r.wall.Seconds(), 16.6, " s")
				}
			} else {
				t.Logf("%v, %v refusals", r.wall, refusals)
			}
		})
	}
}

// [outage] A server that dies in mid-run and comes back with nothing but its name.
func TestOutage(t *testing.T) {
	together(t, true)
	const params = "k=5 service=100ms backlog=20"
	const pace = 50 // files a second that it can take
	before, outage, after := time.Duration(size(1, 10))*time.Second, time.Duration(size(2,
		60))*time.Second, time.Duration(size(2, 25))*time.Second

	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	first := startLabOn(t, l, "threads", params)
	dir := writeFiles(t, int((before+after).Seconds()*pace), always(4<<10))
	var second *lab.Server
	var died, back time.Time
	command(t) // which takes some seconds the first time
	inFlight := make(chan int, 1)
	go func() {
		defer close(inFlight)
		time.Sleep(before)
		died = time.Now()
		first.Close()
		stats := first.Stats()
		inFlight <- int(stats.Requests - stats.Answered)
		time.Sleep(outage)
		again, err := net.Listen("tcp", l.Addr().String())
		if err != nil {
			t.Error(err)
			return
		}
		back = time.Now()
		second = startLabOn(t, again, "threads", params)
	}()
	r := send(t, 0, "--to", "http://"+l.Addr().String()+"/{name}", dir)
	lost := <-inFlight
	<-inFlight
	if second == nil {
		t.Fatal("the server did not come back")
	}
	j := byLabs(first, second)
	j.check(t, dir, 0)
	t.Logf("%d in flight when it died after %v, back after %v, done after %v", lost,
		died.Sub(r.began), back.Sub(r.began), r.wall)
	// What was refused no server can count.
	atMost(t, r, "requests to a dead server", float64(r.report.Requests.Sent-j.requests),
		float64(size(6, 12)), "")
	if *large {
		served := float64(second.Stats().Answered)
		t.Logf("%v files after it was back, in %v", served, r.wall-back.Sub(r.began))
		full := r.wall - back.Sub(r.began) - time.Duration(served/pace*float64(time.Second))
		atMost(t, r, "time lost after it was back", full.Seconds(), 15, " s")
	}
}

// The same where something before it answers 503.
func TestOutage503(t *testing.T) {
	together(t, true)
	command(t)
	s, url := startLab(t, "down", map[bool]string{false: "after=1s for=2s mode=503",
		true: "after=10s for=60s mode=503"}[*large])
	dir := writeFiles(t, size(40, 500), always(4<<10))
	r := send(t, 0, "--rps", "20", "--to", url+"/{name}", dir)
	j := byLabs(s)
	j.check(t, dir, 0)
	atMost(t, r, "requests to a dead server", float64(s.Stats().Faults["down"]),
		float64(size(6, 12)), "")
	if *large {
		atMost(t, r, "time lost besides the outage", r.wall.Seconds()-60-500/20, 15, " s")
	}
}
