package relay

import (
	"encoding/json"
	"errors"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/progress"
	"github.com/penstock/penstock/internal/test"
	"github.com/penstock/penstock/throttle"
)

// People get a line when requests wait for long, and while there is traffic one after 5 s and then
// each 30 s, with the rate over the time with traffic.
func TestLinesForPeople(t *testing.T) {
	handle := func(http.ResponseWriter, *http.Request) { time.Sleep(10 * time.Millisecond) }
	start(t, Options{Limits: throttle.Limits{Rate: 1}, QueueWait: time.Hour}, handle,
		func(w *world) {
			time.Sleep(30500 * time.Millisecond) // no line is written of nothing
			var group sync.WaitGroup
			for range 40 {
				group.Go(func() { w.send("PUT", "/x", "x") })
			}
			group.Wait()
			time.Sleep(time.Minute)
			w.stop(errors.New("interrupted"))
			<-w.ended
			var got []string
			for _, m := range regexp.MustCompile(`time=(\S+) level=INFO msg="?([^"\n]+)`).
				FindAllStringSubmatch(w.logged(), -1) {
				at, err := time.Parse(time.RFC3339, m[1])
				test.OK(t, err)
				got = append(got, at.Sub(w.begin).String()+" "+m[2])
			}
			want := []string{
				"36s 6 answers in 5.5 s, 1.09 req/s; 0 in flight, 34 waiting; held by your --rps 1",
				"41s 29 requests of 1 client wait, the first for 10.5 s: held by your --rps 1",
				"1m6s 30 answers in 30 s, 1 req/s; 0 in flight, 4 waiting; held by your --rps 1",
				"1m36s 4 answers in 3.51 s, 1.13 req/s; 0 in flight, 0 waiting",
				"2m9.51s interrupted: taking nothing new",
			}
			if strings.Join(got, "\n") != strings.Join(want, "\n") {
				t.Errorf("logged\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
		})
}

// On a terminal the state is shown each second, in place of lines of the traffic.
func TestShown(t *testing.T) {
	var shown []progress.Snapshot
	o := Options{Limits: throttle.Limits{Rate: 2}, QueueWait: time.Hour,
		Show: func(s progress.Snapshot) { shown = append(shown, s) }}
	start(t, o, ok, func(w *world) {
		time.Sleep(100 * time.Millisecond)
		var group sync.WaitGroup
		for range 41 {
			group.Go(func() { w.send("PUT", "/x", "x") })
		}
		group.Wait()
		time.Sleep(20 * time.Second)
		w.stop(nil)
		<-w.ended
		if len(shown) != 40 {
			t.Fatalf("shown %d times", len(shown))
		}
		busy, idle := shown[14], shown[39]
		if busy.Delivered != 30 || busy.FilesPerSecond != 2 || busy.Waiting != 11 ||
			busy.Holding != "held by your --rps 2" || busy.Limit != progress.LimitRate {
			t.Errorf("busy: %+v", busy)
		}
		if idle.Delivered != 41 || idle.FilesPerSecond != 0 || idle.Waiting != 0 {
			t.Errorf("idle: %+v", idle)
		}
		if strings.Contains(w.logged(), "answers") || strings.Contains(w.logged(), "wait") {
			t.Errorf("logged %s", w.logged())
		}
	})
}

// Programs get a line of JSON each second, and one at the end.
func TestLinesForPrograms(t *testing.T) {
	var lines []string
	o := Options{JSON: true, Lines: func(line []byte) { lines = append(lines, string(line)) }}
	start(t, o, ok, func(w *world) {
		time.Sleep(1500 * time.Millisecond)
		w.send("PUT", "/x", "x")
		time.Sleep(time.Second)
		w.stop(nil)
		<-w.ended
		type line struct {
			Type     string    `json:"type"`
			Time     time.Time `json:"time"`
			Elapsed  float64   `json:"elapsed_seconds"`
			Requests int       `json:"requests"`
		}
		want := []line{{"progress", w.begin.Add(time.Second).UTC(), 1, 0},
			{"progress", w.begin.Add(2 * time.Second).UTC(), 2, 1},
			{"progress", w.begin.Add(2500 * time.Millisecond).UTC(), 2.5, 1}}
		if len(lines) != len(want) {
			t.Fatalf("%d lines: %s", len(lines), lines)
		}
		for i, text := range lines {
			var got line
			test.OK(t, json.Unmarshal([]byte(text), &got))
			if got != want[i] {
				t.Errorf("%+v, want %+v", got, want[i])
			}
		}
	})
}
