package progress

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/golden"
)

func TestBarText(t *testing.T) {
	paced := Snapshot{
		Total: 60, KnownTotal: true, Delivered: 31, Bytes: 124 << 10, DeliveredBytes: 124 << 10,
		TotalBytes: 240 << 10, InFlight: 5,
		FilesPerSecond: 4, BytesPerSecond: 16 << 10, Limit: LimitRate,
		Holding: "held by your --rps 4", ETA: 7 * time.Second,
	}
	large := Snapshot{
		Total: 200_000, KnownTotal: true, Delivered: 131_072, Failed: 2, Unknown: 3, Deferred: 1000,
		Bytes: 512 << 20, DeliveredBytes: 512 << 20, TotalBytes: 1200 << 20,
		InFlight: 64, InFlightLimit: 64, Learned: Learned{InFlight: 64}, FilesPerSecond: 512.3,
		BytesPerSecond: 2 << 20, Limit: LimitConcurrency, Holding: "more at once gains nothing",
		ETA: 134 * time.Second,
	}
	files := Snapshot{
		Total: 12, KnownTotal: true, Delivered: 3, Bytes: 238 << 20, TotalBytes: 458 << 20,
		ByBytes: true, InFlight: 4, FilesPerSecond: 0.2, BytesPerSecond: 16.1 * (1 << 20),
		ETA: 14 * time.Second, Limit: LimitConcurrency,
		Holding: "looking for the pace: 4 in flight",
		Underway: []Underway{{"scan_04.tif", 61, 100}, {"scan_05.tif", 60, 100},
			{"scan_06 of the whole northern hemisphere.tif", 58, 100},
			{"scan_07.tif", 99.9 * 10, 1000}},
	}
	last := files
	last.Delivered, last.Bytes, last.InFlight, last.Underway = 11, 420<<20, 1, files.Underway[:1]
	last.Limit, last.Holding = NoLimit, "sending the last file"
	last.Learned.InFlight = 33
	small := files
	small.Total, small.Delivered, small.Bytes, small.Underway = 203, 67, 458<<20-136*2048, nil
	small.FilesPerSecond, small.BytesPerSecond = 10, 2<<10
	deferred := paced
	deferred.Delivered, deferred.Deferred, deferred.ETA, deferred.Holding = 27, 33, 0, ""
	trimmed := paced
	trimmed.Holding = "4 → 3.96 req/s: the server refuses at 4"
	learned := paced
	learned.Limit, learned.Holding, learned.Learned = LimitCoolDown, "paused 12 s: Retry-After",
		Learned{Rate: 9.84, InFlight: 5}
	paused := paced
	paused.Limit, paused.Holding, paused.Failed = LimitCoolDown,
		"paused 12 s: Retry-After from bücher.example\x1b[2J", 2
	listing := paced
	listing.KnownTotal, listing.ETA, listing.Total = false, 0, 500
	stdin := listing
	stdin.Total = 0
	var b strings.Builder
	for _, tt := range []struct {
		name string
		s    Snapshot
	}{
		{"beginning", Snapshot{Total: 60, KnownTotal: true}}, {"paced", paced}, {"large", large},
		{"paused", paused}, {"trimmed", trimmed},
		{"learned", learned}, {"large files", files}, {"the last file", last},
		{"small files after large ones", small}, {"deferred", deferred},
		{"still listing", listing}, {"from stdin", stdin}, {"no items", Snapshot{KnownTotal: true}},
	} {
		fmt.Fprintf(&b, "# %s\n", tt.name)
		for _, width := range []int{199, 119, 79, 59, 39, 23, 9} {
			fmt.Fprintf(&b, "%4d |%s\n     |%s\n", width, doneText(tt.s, width),
				holdingText(tt.s, width))
		}
	}
	golden.Check(t, "bar.txt", b.String())
}

// What does not fit is left out clause by clause: the time stays longer than the reason.
func TestHoldingIsShortened(t *testing.T) {
	const down = "server down (connection refused): next try within 6 s, gives up at 17:47"
	const again = "; big.bin is sent again from its beginning (connection lost)"
	for _, c := range []struct {
		width      int
		text, want string
	}{
		{200, down + again, down + again},
		{79, down, down},
		{79, down + again, down},
		{59, down + again, "server down: next try within 6 s, gives up at 17:47"},
		{40, down, "server down: next try within 6 s"},
		{20, down, "server down: next..."},
		{39, "paused 1 m 12 s: Retry-After; b.example is down", "paused 1 m 12 s: Retry-After"},
		{39, "2 files to be tried again: the file changed while it was sent",
			"2 files to be tried again: the file ..."},
	} {
		if got := holdingText(Snapshot{Holding: c.text}, c.width); got != c.want {
			t.Errorf("%d columns: %q, want %q", c.width, got, c.want)
		}
	}
}

// The bar has one width while the run goes on.
func TestBarKeepsItsWidth(t *testing.T) {
	width := 0
	for done := range int64(400) {
		s := Snapshot{Total: 400, KnownTotal: true, Delivered: done, Bytes: done << 20,
			TotalBytes: 400 << 20, ByBytes: true, BytesPerSecond: float64(done*done) * 1e4,
			Deferred: done % 7, ETA: time.Duration(done%13) * 10 * time.Second}
		n := strings.Index(doneText(s, 79), "]")
		if width == 0 {
			width = n
		}
		if n != width || n < 0 {
			t.Fatalf("%d columns, then %d: %s", width, n, doneText(s, 79))
		}
	}
}

// Which parts the line has depends on the terminal's width. They do not come and go with the
// moment.
func TestBarKeepsItsParts(t *testing.T) {
	kinds := []*regexp.Regexp{regexp.MustCompile(`^\[`), regexp.MustCompile(`\d %`),
		regexp.MustCompile(`/59 MiB`), regexp.MustCompile(`/202 files`), regexp.MustCompile(`B/s`),
		regexp.MustCompile(`files/s`)}
	for _, byBytes := range []bool{false, true} {
		for width := 15; width < 130; width++ {
			var first []bool
			for i := range int64(202) {
				s := Snapshot{Total: 202, KnownTotal: true, Delivered: i, Bytes: i * 59 << 20 / 202,
					TotalBytes: 59 << 20, ByBytes: byBytes,
					FilesPerSecond: float64(i*i%1500) / 9, BytesPerSecond: 1025 + float64(i*i*i)*10}
				if i%4 > 0 {
					s.ETA = time.Duration(1<<(i%13)) * time.Second
				}
				text := doneText(s, width)
				var now []bool
				for _, kind := range kinds {
					now = append(now, kind.MatchString(text))
				}
				if first == nil {
					first = now
				}
				if !slices.Equal(now, first) {
					t.Fatalf("%d columns: first %v, now %v: %s", width, first, now, text)
				}
				if width >= 59 && (!now[1] || !now[2] || !now[3] || s.ETA > 0 &&
					!strings.Contains(text, "ETA ")) {
					t.Fatalf("%d columns lack something: %s", width, text)
				}
			}
		}
	}
}

// A percentage is of what is counted beside it.
func TestPercentIsOfItsCounter(t *testing.T) {
	s := Snapshot{Total: 202, KnownTotal: true, Delivered: 3, Bytes: 59<<20 - 199*2048,
		TotalBytes: 59 << 20, FilesPerSecond: 0.86, BytesPerSecond: 1800, ETA: time.Second}
	for _, c := range []struct {
		byBytes   bool
		bar, line string
	}{
		{false, "1 %  3/202 files  ", ": 1 %, 3 of 202 files; 59 MiB of 59 MiB; "},
		{true, "99 %  59/59 MiB  ", ": 99 %, 59 MiB of 59 MiB; 3 of 202 files; "},
	} {
		s.ByBytes = c.byBytes
		if got := doneText(s, 79); !strings.Contains(got, c.bar) {
			t.Errorf("by bytes %v: %q, want %q in it", c.byBytes, got, c.bar)
		}
		if got := lineText(s); !strings.Contains(got, c.line) {
			t.Errorf("by bytes %v: %q, want %q in it", c.byBytes, got, c.line)
		}
	}
}

// However narrow the terminal, the line does not wrap.
func TestBarTextFits(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	number := func() int64 { return rnd.Int64N(1 << rnd.IntN(50)) }
	for range 300 {
		s := Snapshot{
			Total: number(), KnownTotal: rnd.IntN(2) > 0, Delivered: number(), Failed: number(),
			Unknown: number(), Skipped: number(),
			Deferred: number(), DeliveredBytes: number(), TotalBytes: number(),
			InFlight: int(number()), FilesPerSecond: float64(number()) / 1000,
			Bytes: number(), BytesPerSecond: float64(number()), ByBytes: rnd.IntN(2) > 0,
			Underway: []Underway{{strings.Repeat("größe", rnd.IntN(9)), number(), number()}},
			Limit:    []Limit{LimitRate, LimitDown}[rnd.IntN(2)], ETA: time.Duration(number()),
			Holding: strings.Repeat("größe → 漢字\x1b", rnd.IntN(4)),
			Learned: Learned{Rate: Optional(rnd.IntN(2)), InFlight: Optional(rnd.IntN(2) * 1000)},
		}
		for width := -1; width < 130; width++ {
			for _, got := range []string{doneText(s, width), holdingText(s, width)} {
				if len(got) > max(width, 0) {
					t.Fatalf("%d columns for a width of %d: %q", len(got), width, got)
				}
				for _, r := range got {
					if r < ' ' || r > '~' {
						t.Fatalf("%q is not one column wide: %q", r, got)
					}
				}
			}
		}
	}
}

func TestLearnedWords(t *testing.T) {
	for _, c := range []struct {
		learned Learned
		want    string
	}{
		{Learned{}, ""},
		{Learned{Rate: 9.8, InFlight: 5}, "learned 9.8 req/s, 5 in flight"},
		{Learned{Rate: 9.8, Trying: true}, "trying 9.8 req/s"},
		{Learned{Rate: 9.8, InFlight: 5, Trying: true}, "learned 5 in flight, trying 9.8 req/s"},
	} {
		if got := c.learned.String(); got != c.want {
			t.Errorf("%+v: %q, want %q", c.learned, got, c.want)
		}
	}
}
