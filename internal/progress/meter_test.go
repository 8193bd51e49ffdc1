package progress

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/human"
)

const tick = 250 * time.Millisecond

func within(t *testing.T, what string, got, want, tolerance float64) {
	t.Helper()
	if math.Abs(got-want) > tolerance*want {
		t.Errorf("%s is %.3f, want %.3f within %.0f %%", what, got, want, 100*tolerance)
	}
}

// A paced run: the time left is what is left, divided by the pace.
func TestMeterPaced(t *testing.T) {
	var m Meter
	const total, perTick = 600, 1
	var previous time.Duration
	for i := int64(0); i*perTick <= total; i++ {
		s := Snapshot{
			Total: total, KnownTotal: true, Delivered: i * perTick, Sent: i * perTick,
			Ceiling: 4, Limit: LimitRate, Elapsed: time.Duration(i) * tick,
		}
		m.Measure(&s)
		switch {
		case s.Elapsed < etaSoonest || i == total:
			if s.ETA != 0 {
				t.Fatalf("after %v the time left is %v, want none", s.Elapsed, s.ETA)
			}
		default:
			if want := time.Duration(total-i) * tick; (s.ETA - want).Abs() > time.Millisecond {
				t.Fatalf("after %v the time left is %v, want %v", s.Elapsed, s.ETA, want)
			}
			if previous > 0 && s.ETA >= previous {
				t.Fatalf("the time left grew from %v to %v", previous, s.ETA)
			}
			previous = s.ETA
		}
		if i > 0 {
			within(t, "rate", s.Rate, 4, 0.001)
		}
	}
}

func TestMeterRetriesCostTokens(t *testing.T) {
	var m Meter
	var s Snapshot
	for i := int64(1); i <= 400; i++ {
		// Two requests an item.
		s = Snapshot{
			Total: 1000, KnownTotal: true, Delivered: i / 2, Sent: i, Ceiling: 4, Limit: LimitRate,
			Elapsed: time.Duration(i) * tick,
		}
		m.Measure(&s)
	}
	within(t, "time left", s.ETA.Seconds(), 800*2/4.0, 0.02)
}

func TestMeterMeasured(t *testing.T) {
	var m Meter
	var s Snapshot
	for i := int64(1); i <= 400; i++ {
		// Five items of 1 KiB a second; the next thousand are of 10 KiB.
		n := i * 5 / 4
		s = Snapshot{
			Total: 1500, KnownTotal: true, Delivered: n, Sent: n, Bytes: n << 10,
			DeliveredBytes: n << 10,
			TotalBytes:     500<<10 + 1000*10<<10, Ceiling: 50, Limit: LimitBandwidth,
			Elapsed: time.Duration(i) * tick,
		}
		m.Measure(&s)
	}
	within(t, "bytes a second", s.BytesPerSecond, 5<<10, 0.03)
	within(t, "time left", s.ETA.Seconds(), 1000*10/5, 0.03)
}

func TestMeterSkippedItemsAreNotSpeed(t *testing.T) {
	var m Meter
	var s Snapshot
	for i := int64(1); i <= 200; i++ {
		s = Snapshot{
			Total: 101_000, KnownTotal: true, Skipped: 100_000, Delivered: i, Sent: i,
			Limit:   LimitConcurrency,
			Elapsed: time.Duration(i) * tick,
		}
		if i == 1 {
			s.Skipped = 50_000
		}
		m.Measure(&s)
	}
	within(t, "time left", s.ETA.Seconds(), 800/4, 0.02)
}

// A pause is added to the time left, counts down with it, and does not make the server look slow.
func TestMeterPause(t *testing.T) {
	var m Meter
	s := Snapshot{Total: 1000, KnownTotal: true, Ceiling: 100, Limit: LimitConcurrency}
	step := func() { s.Elapsed += tick; m.Measure(&s) }
	for range 120 {
		s.Delivered++
		s.Sent++
		step()
	}
	before := s.ETA
	within(t, "time left", before.Seconds(), 880/4, 0.02)
	s.Limit = LimitCoolDown
	for s.Pause = 10 * time.Minute; s.Pause > 0; s.Pause -= tick {
		step()
		if want := before + s.Pause; (s.ETA - want).Abs() > 3*time.Second {
			t.Fatalf("with %v of pause left the time left is %v, want about %v", s.Pause, s.ETA,
				want)
		}
	}
	s.Pause, s.Limit = 0, LimitConcurrency
	if s.Rate > 0.01 {
		t.Errorf("after ten minutes without a request the rate is %g", s.Rate)
	}
	for range 40 {
		s.Delivered++
		s.Sent++
		step()
	}
	within(t, "time left", s.ETA.Seconds(), 840/4, 0.02)
}

// Bytes that are broken off count for nothing, but were sent.
func TestMeterBrokenOff(t *testing.T) {
	var m Meter
	var s Snapshot
	step := func(files, moving int64) {
		s.Total, s.KnownTotal, s.TotalBytes, s.Elapsed = 12, true, 12*40<<20, s.Elapsed+tick
		s.Delivered = files
		s.Bytes = files*40<<20 + moving
		s.DeliveredBytes = s.Bytes
		m.Measure(&s)
	}
	for i := range int64(200) {
		step(i/40, i%40<<20)
	}
	within(t, "bytes a second", s.BytesPerSecond, 4<<20, 0.05)
	step(4, 0) // the server refused 39 MiB
	for i := range int64(8) {
		step(4, i<<20)
	}
	within(t, "bytes a second after that", s.BytesPerSecond, 4<<20, 0.1)
	if s.ETA == 0 {
		t.Error("no time left is shown")
	}
	s.Stopping = true
	step(4, 9<<20)
	if s.ETA != 0 {
		t.Errorf("%v left, of files that are not sent any more", s.ETA)
	}
}

// Where nothing moves for a while the rates are 0, however long it lasts, and none fades away.
func TestMeterNothingMoves(t *testing.T) {
	for _, c := range []struct {
		name  string
		limit Limit
		pause time.Duration
		every int64 // ticks from one file to the next
		after time.Duration
	}{
		{"the server is down", LimitDown, 0, 1, 3 * time.Second},
		{"it is down, and took long before", LimitDown, 0, 40, 3 * time.Second},
		{"a pause", LimitCoolDown, time.Hour, 1, 3 * time.Second},
		{"it hangs", NoLimit, 0, 1, 3 * time.Second},
		{"it hangs, and took long before", NoLimit, 0, 20, 20 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			var m Meter
			s := Snapshot{Total: 10_000, KnownTotal: true, TotalBytes: 10_000 << 20}
			move := func() {
				s.Elapsed += tick
				m.Measure(&s)
			}
			for i := range int64(400) {
				if i%c.every == 0 {
					s.Delivered++
					s.Sent++
					s.DeliveredBytes += 1 << 20
					s.Bytes = s.DeliveredBytes
				}
				move()
				if s.Elapsed > 30*time.Second &&
					(s.FilesPerSecond < 0.5*4/float64(c.every) ||
						s.BytesPerSecond < 0.5*(4<<20)/float64(c.every)) {
					t.Fatalf("after %v: %g files and %g bytes a second, of one in %d ticks",
						s.Elapsed, s.FilesPerSecond, s.BytesPerSecond, c.every)
				}
			}
			s.Limit, s.Pause = c.limit, c.pause
			before := s
			stopped := s.Elapsed - time.Duration(399%c.every)*tick
			for s.Elapsed < stopped+10*time.Minute {
				move()
				for _, r := range []struct {
					name    string
					was, is float64
				}{{"files", before.FilesPerSecond, s.FilesPerSecond},
					{"bytes", before.BytesPerSecond, s.BytesPerSecond},
					{"requests", before.Rate, s.Rate}} {
					if r.is != 0 && (s.Elapsed-stopped >= c.after || r.is < r.was/5) {
						t.Fatalf("%v after the last file: %g %s a second, %g before",
							s.Elapsed-stopped, r.is, r.name, r.was)
					}
				}
			}
			s.Limit, s.Pause = NoLimit, 0
			for range 40 {
				s.Delivered++
				s.Sent++
				s.DeliveredBytes += 1 << 20
				s.Bytes = s.DeliveredBytes
				move()
			}
			if c.every == 1 {
				within(t, "files a second after it", s.FilesPerSecond, 4, 0.1)
				within(t, "bytes a second after it", s.BytesPerSecond, 4<<20, 0.1)
			}
		})
	}
}

// After a large file small ones have their own pace, and when they are through there is none.
func TestMeterSmallFilesEnd(t *testing.T) {
	var m Meter
	s := Snapshot{Total: 2000, KnownTotal: true, TotalBytes: 1000 << 20}
	step := func(n int, files int64) {
		for range n {
			s.Elapsed += tick / 5
			s.Delivered += files
			s.DeliveredBytes += 1 << 18
			s.Bytes = s.DeliveredBytes
			m.Measure(&s)
		}
	}
	step(200, 0)
	step(1, 1)
	step(120, 5)
	within(t, "files a second", s.FilesPerSecond, 100, 0.25)
	step(61, 0)
	if s.FilesPerSecond != 0 {
		t.Errorf("%g files a second three seconds after the last", s.FilesPerSecond)
	}
}

// Files that take long have a pace of their own: between two of them it is not that of no files.
func TestMeterFewFiles(t *testing.T) {
	var m Meter
	for i := int64(1); i <= 800; i++ {
		s := Snapshot{Total: 100, KnownTotal: true, TotalBytes: 2000 << 20,
			Elapsed: time.Duration(i) * tick}
		s.Delivered, s.Bytes = i/40, i<<19
		s.DeliveredBytes = s.Bytes
		m.Measure(&s)
		if s.Elapsed > time.Minute {
			within(t, "files a second", s.FilesPerSecond, 0.1, 0.25)
			within(t, "bytes a second", s.BytesPerSecond, 2<<20, 0.01)
		}
	}
}

// A file that is sent again from its beginning takes as long as it did.
func TestMeterSentAgain(t *testing.T) {
	var m Meter
	const mib = 1 << 20
	s := Snapshot{Total: 1, KnownTotal: true, TotalBytes: 80 * mib, Largest: 80 * mib, InFlight: 1}
	for again := range 5 {
		for i := range int64(80) {
			s.Elapsed += tick
			s.Underway = []Underway{{Size: 80 * mib, Done: i << 18}}
			s.Bytes, s.DeliveredBytes = i<<18, i<<18
			m.Measure(&s)
			if i > 8 && s.Elapsed > 5*time.Second {
				within(t, "time left", s.ETA.Seconds(), float64(80-i/4), 0.3)
				within(t, "bytes a second", s.BytesPerSecond, mib, 0.1)
			}
			if t.Failed() {
				t.Fatalf("%d times again, after %d steps", again, i)
			}
		}
	}
}

// A time left that cannot be estimated for a moment does not come and go.
func TestMeterHolds(t *testing.T) {
	var m Meter
	var shown []bool
	for i := int64(1); i <= 160; i++ {
		s := Snapshot{Total: 20 + 50 + i/8%2*10_000, KnownTotal: true,
			TotalBytes: 20*40<<20 + 50*4096, Elapsed: time.Duration(i) * tick}
		s.Delivered = min(i, 200) / 10
		s.Bytes = min(i, 200) * 4 << 20
		s.DeliveredBytes, s.Sent = s.Bytes, s.Delivered
		m.Measure(&s)
		shown = append(shown, s.ETA > 0)
	}
	changes := 0
	for i := 1; i < len(shown); i++ {
		if shown[i] != shown[i-1] {
			changes++
		}
	}
	if changes != 1 {
		t.Errorf("the time left comes and goes: %v", shown)
	}
}

// Whatever happens, an estimate is never negative and never absurd.
func TestMeterRandom(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	for range 300 {
		var m Meter
		s := Snapshot{KnownTotal: rnd.IntN(4) > 0, Total: rnd.Int64N(1000),
			TotalBytes: rnd.Int64N(2) * rnd.Int64N(1<<40)}
		for range 200 {
			s.Elapsed += time.Duration(rnd.Int64N(3) * rnd.Int64N(int64(20*time.Second)))
			n := rnd.Int64N(4)
			s.Sent += n + rnd.Int64N(2)
			s.InFlight = rnd.IntN(5)
			s.Delivered += n
			s.Skipped += rnd.Int64N(2)
			s.Failed += rnd.Int64N(2)
			s.Bytes += n << 20
			s.DeliveredBytes += n << 20
			s.Ceiling = float64(rnd.IntN(3)) * rnd.Float64()
			s.Limit = []Limit{NoLimit, LimitRate, LimitCoolDown, LimitDown}[rnd.IntN(4)]
			s.Pause = time.Duration(rnd.Int64N(2)) * time.Minute
			m.Measure(&s)
			bad := func(f float64) bool { return f < 0 || math.IsNaN(f) || math.IsInf(f, 0) }
			if s.ETA < 0 || s.ETA > human.Seconds(etaFarthest)+time.Minute || bad(s.Rate) ||
				bad(s.BytesPerSecond) {
				t.Fatalf("%+v", s)
			}
		}
	}
}

// A large file that has just begun says nothing of the pace: its connection is new, or small files
// come first.
func TestMeterLargeFileBegins(t *testing.T) {
	var m Meter
	const mib = 1 << 20
	s := Snapshot{Total: 23, KnownTotal: true, TotalBytes: 90 * mib, Largest: 30 * mib, InFlight: 2}
	for s.Elapsed < 10*time.Second {
		s.Elapsed += tick
		s.Underway = []Underway{{Size: 30 * mib, Done: s.DeliveredBytes/2 + 3*mib/4},
			{Size: 30 * mib, Done: s.DeliveredBytes/2 + 3*mib/4}}
		s.DeliveredBytes += 3 * mib / 2
		s.Bytes = s.DeliveredBytes
		m.Measure(&s)
	}
	before := s.ETA
	s.Delivered, s.Latency = 2, 10*time.Second
	// those that ended took long because they are large
	for s.Underway = nil; s.InFlight > 0; s.InFlight-- {
		s.Elapsed += tick / 5
		m.Measure(&s)
		if s.ETA > before {
			t.Errorf("%v left when large ones end, %v before", s.ETA, before)
		}
	}
	for i := range 4 {
		s.Elapsed += tick / 2
		s.Delivered += 5
		s.InFlight = 12
		s.Underway = []Underway{{Size: 30 * mib, Done: int64(i) << 10}}
		s.DeliveredBytes = 60*mib + int64(i)<<10
		s.Bytes = s.DeliveredBytes
		m.Measure(&s)
		if s.ETA > before {
			t.Errorf("%v left when one begins, %v before", s.ETA, before)
		}
	}
}

func BenchmarkMeterUnderway(b *testing.B) {
	var m Meter
	s := Snapshot{Total: 10_000, KnownTotal: true, TotalBytes: 10_000 << 20, InFlight: 4096}
	for i := range 4096 {
		s.Underway = append(s.Underway, Underway{Name: fmt.Sprintf("%05d", i), Size: 1 << 20})
	}
	for b.Loop() {
		s.Elapsed += 50 * time.Millisecond
		s.Underway = slices.Clone(s.Underway)
		for i := range s.Underway {
			s.Underway[i].Done = min(1<<20, s.Underway[i].Done+1000)
		}
		m.Measure(&s)
	}
}
