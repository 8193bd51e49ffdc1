package board

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestPaths(t *testing.T) {
	at := func(n int64) Sample { return Sample{Seconds: 2, Sent: n, Rate: float64(n)} }
	c := Chart{Step: 2 * time.Second, Samples: []Sample{
		{}, at(4), at(4), at(8), {}, at(8), at(0), at(1),
	}}
	for _, p := range []struct{ name, got, want string }{
		{"area", c.area(sent, 4), "M0 100H1V50H3V0H4V100H5V0H6V100H7V88H8V100z"},
		{"line", c.line(pace, 8), "M1 50H3V0H4M5 0H6M7 88H8"},
		{"nothing", c.area(failed, 4), ""},
		{"no line", c.line(latency, 4), ""},
	} {
		if p.got != p.want {
			t.Errorf("%s: %s", p.name, p.got)
		}
	}
}

func TestTop(t *testing.T) {
	for most, want := range map[float64]float64{
		0: 1, 0.07: 0.08, 0.1: 0.1, 1: 1, 1.01: 1.5, 8: 8, 8.1: 10, 42: 50, 123: 150, 9999: 10000,
	} {
		if got := top(most); got < want*0.999 || got > want*1.001 {
			t.Errorf("%v: %v", most, got)
		}
	}
}

// A limit that is far above what is sent is not to make that invisible.
func TestFarLimit(t *testing.T) {
	c := Chart{Step: time.Second, Samples: []Sample{{Seconds: 1, Sent: 3, Accepted: 3, Rate: 400}}}
	if d := c.draw(); d.Top != "3.0/s" || d.Accepted != "M0 100V0H1V100z" {
		t.Errorf("%s: %s", d.Top, d.Accepted)
	}
	c.Samples[0].Rate = 5
	if d := c.draw(); d.Top != "5.0/s" || d.Pace != "M0 0H1" {
		t.Errorf("%s: %s", d.Top, d.Pace)
	}
}

func TestRows(t *testing.T) {
	c := Chart{Step: time.Minute, Started: time.Date(2026, 3, 1, 22, 0, 0, 0, time.Local)}
	for i := range int64(11) {
		c.Samples = append(c.Samples, Sample{Seconds: 60, Sent: i})
	}
	c.Samples[2], c.Samples[3] = Sample{}, Sample{}
	two := func(when string, seconds float64, sent int64) row {
		return row{when, Sample{Seconds: seconds, Sent: sent}}
	}
	want := []row{
		two("22:10:00", 60, 10), two("22:08:00", 120, 17), two("22:06:00", 120, 13),
		two("22:04:00", 120, 9), two("22:00:00", 120, 1),
	}
	if diff := cmp.Diff(want, c.rows()); diff != "" {
		t.Error(diff)
	}
	c.Started = time.Time{}
	got := c.rows()
	if got[0].When != "last 2 m" || got[1].When != "to 2 min ago" || c.From() != "11 min ago" {
		t.Errorf("%v; %s", got, c.From())
	}
	if c.Started = time.Date(2026, 3, 1, 22, 0, 0, 0, time.Local); c.To() != "22:11:00" {
		t.Error(c.To())
	}
}
