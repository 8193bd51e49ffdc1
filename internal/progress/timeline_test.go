package progress

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

// plot is a timeline as programs read it.
type plot struct {
	StepSeconds float64      `json:"step_seconds"`
	Columns     []string     `json:"columns"`
	Rows        [][]*float64 `json:"rows"`
}

func read(t *testing.T, line *Timeline) (p plot) {
	t.Helper()
	text, err := json.Marshal(line)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &p); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return p
}

// Two requests a second, looked at four times a second, with a pause of 1.5 s, and an outage of the
// last second but for its first quarter, in which the server is only silent.
func TestTimeline(t *testing.T) {
	var line Timeline
	for at := time.Duration(0); at <= 5*time.Second; at += tick {
		s := Snapshot{Elapsed: at, Sent: int64(at / (500 * time.Millisecond)), InFlight: 1,
			InFlightLimit: 2}
		s.Accepted, s.Refused = s.Sent/2, s.Sent-s.Sent/2
		if at > 3*time.Second {
			s.InFlightLimit, s.Ceiling = 0, 9.87654
		}
		s.Pause = max(0, min(3500*time.Millisecond-at, 1500*time.Millisecond))
		if at < 2*time.Second {
			s.Pause = 0
		}
		if at >= 4*time.Second {
			s.Limit, s.Silent = LimitDown, at == 4*time.Second
		}
		line.Add(&s)
	}
	text, _ := json.Marshal(&line)
	want := `{"step_seconds":1,` +
		`"columns":["t","sent","accepted","refused","limit","rate","in_flight","paused",` +
		`"down"],"rows":[[0,2,1,1,2,null,1,0,0],[1,2,1,1,2,null,1,0,0],[2,2,1,1,2,null,1,1,0],` +
		`[3,2,1,1,null,9.877,1,0.5,0],[4,2,1,1,null,9.877,1,0,0.75]]}`
	if string(text) != want {
		t.Errorf("got  %s\nwant %s", text, want)
	}
}

// Nothing is lost, however long a run is and however rarely somebody looks.
func TestTimelineOfAnyLength(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	for range 20 {
		var line Timeline
		var s Snapshot
		longest := time.Duration(1) << (20 + rnd.IntN(28)) // up to three days at once
		for range 1 + rnd.IntN(2000) {
			s.Elapsed += time.Duration(rnd.Int64N(int64(longest)))
			s.Sent += rnd.Int64N(5)
			s.Accepted += rnd.Int64N(3)
			s.Refused += rnd.Int64N(2)
			s.InFlight, s.InFlightLimit = rnd.IntN(9), rnd.IntN(9)
			s.Pause = time.Duration(rnd.Int64N(2) * rnd.Int64N(int64(longest)))
			s.Limit = []Limit{NoLimit, LimitDown}[rnd.IntN(2)]
			line.Add(&s)
		}
		p := read(t, &line)
		var sums [9]float64
		for i, row := range p.Rows {
			if len(row) != len(p.Columns) || *row[0] != float64(i)*p.StepSeconds {
				t.Fatalf("row %d begins at %v, of steps of %v s", i, *row[0], p.StepSeconds)
			}
			for c, v := range row {
				if v != nil {
					sums[c] += *v
				}
			}
			if *row[7] > p.StepSeconds || *row[8] > p.StepSeconds {
				t.Fatalf("row %d is paused for %v, down for %v of %v s", i, *row[7], *row[8],
					p.StepSeconds)
			}
		}
		if got, want := fmt.Sprint(sums[1:4]),
			fmt.Sprint([]float64{float64(s.Sent), float64(s.Accepted),
				float64(s.Refused)}); got != want {
			t.Errorf("the rows have %v, the run %v", got, want)
		}
		want := math.Max(1, math.Ceil(s.Elapsed.Seconds()/p.StepSeconds))
		if n := len(p.Rows); float64(n) != want || n > maxSteps || cap(line.rows) > 2*maxSteps {
			t.Errorf("%d rows of %v s for %v, want %v", len(p.Rows), p.StepSeconds, s.Elapsed, want)
		}
		if last := p.Rows[len(p.Rows)-1]; *last[6] != float64(s.InFlight) {
			t.Errorf("at the end %v are in flight, not %d", *last[6], s.InFlight)
		}
	}
}
