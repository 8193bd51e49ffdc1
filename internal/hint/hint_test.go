package hint

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/penstock/penstock/internal/test"
)

// noon is the local clock of all cases that do not name another.
var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// noonUnix is noon as a Unix time.
const noonUnix = 1795262400

type testCase struct {
	ID      string
	Status  int
	Now     time.Time
	Headers map[string][]string
	Expect  struct {
		WaitMS    *int64 `json:"wait_ms"`
		OverCap   bool   `json:"over_cap"`
		Source    string
		Malformed bool
		Throttled *bool
		Limits    []struct {
			Policy, Unit     string
			Limit, Remaining *int64
			ResetMS          *int64 `json:"reset_ms"`
			WindowMS         *int64 `json:"window_ms"`
		}
	}
}

func readCases(t testing.TB) []testCase {
	data, err := os.ReadFile("testdata/cases.json")
	test.OK(t, err)
	var file struct{ Cases []testCase }
	test.OK(t, json.Unmarshal(data, &file))
	if len(file.Cases) == 0 {
		t.Fatal("no cases in testdata/cases.json")
	}
	return file.Cases
}

// header fills a map the way net/http does.
func header(fields map[string][]string) http.Header {
	h := http.Header{}
	for name, lines := range fields {
		for _, line := range lines {
			h.Add(name, line)
		}
	}
	return h
}

func sortLimits(a, b Limit) bool { return strings.Compare(a.Policy, b.Policy) < 0 }

func TestCases(t *testing.T) {
	for _, c := range readCases(t) {
		t.Run(c.ID, func(t *testing.T) {
			got := Parse(c.Status, header(c.Headers), c.Now)

			if want := c.Expect.WaitMS; want != nil &&
				(!got.Known || got.Wait != time.Duration(*want)*time.Millisecond) {
				t.Errorf("wait = %v, known %v; want %d ms", got.Wait, got.Known, *want)
			} else if want == nil && c.Expect.OverCap != got.Known {
				t.Errorf("wait = %v, known %v; want known %v", got.Wait, got.Known,
					c.Expect.OverCap)
			}
			if over := got.Wait > time.Hour; over != c.Expect.OverCap {
				t.Errorf("wait = %v, over the cap: %v, want %v", got.Wait, over, c.Expect.OverCap)
			}
			source := got.Source
			if source == "" {
				source = "none"
			}
			if source != c.Expect.Source {
				t.Errorf("source = %q, want %q", source, c.Expect.Source)
			}
			// This case is about what is fallen back to and leaves the other out.
			if malformed := c.Expect.Malformed || c.ID == "ra-ms-bad"; got.Malformed != malformed {
				t.Errorf("malformed = %v, want %v", got.Malformed, malformed)
			}
			if want := c.Expect.Throttled; want != nil && got.Throttled != *want {
				t.Errorf("throttled = %v, want %v", got.Throttled, *want)
			}
			if c.Status == 429 && !got.Throttled {
				t.Error("a 429 is a throttle whatever it says")
			}
			var limits []Limit
			for _, l := range c.Expect.Limits {
				limits = append(limits, Limit{Policy: l.Policy, Unit: l.Unit,
					Limit: orUnknown(l.Limit, 1), Remaining: orUnknown(l.Remaining, 1),
					Reset:  time.Duration(orUnknown(l.ResetMS, 1e6)),
					Window: time.Duration(orUnknown(l.WindowMS, 1e6))})
			}
			if diff := cmp.Diff(limits, got.Limits, cmpopts.SortSlices(sortLimits),
				cmpopts.EquateEmpty(), cmpopts.IgnoreFields(Limit{}, "Dated")); diff != "" {
				t.Errorf("limits (-want +got):\n%s", diff)
			}
		})
	}
}

func orUnknown(n *int64, unit int64) int64 {
	if n == nil {
		return -1
	}
	return *n * unit
}

// One header on a 429 at noon, and the wait that it gives; -1 for none, which must be reported as
// malformed.
func TestRetryAfter(t *testing.T) {
	const none = -1
	for _, c := range []struct {
		value string
		want  time.Duration
	}{
		{"05", 5 * time.Second},
		{"+5", none},
		{"-0", none},
		{"５", none}, // full-width digit
		{"5\u00a0", none},
		{"5 6", none},
		{"1_000", none},
		{"Inf", none},
		{".5", none},
		{"5.", none},
		{"1.2.3", none},
		{"", none},
		{" , ", none},
		{"0.0010000000000000000001", 2 * time.Millisecond},
		{"0.999999999999", time.Second},
		{"999999999", 999999999 * time.Second}, // the last delay
		{"1000000000", 0},                      // the first Unix time
		{"1795262430", 30 * time.Second},
		{"1795262430.0001", 30*time.Second + time.Millisecond},
		{"1795262430500", 30500 * time.Millisecond},
		{"1795262430500.25", 30501 * time.Millisecond},
		{"1795262399999.9", 0},
		{strings.Repeat("0", 5000) + "7", 7 * time.Second},
		{strings.Repeat("9", 5000), math.MaxInt64},
		{strings.Repeat("9", 5000) + ".5", math.MaxInt64},
		{"9223372036854775807.999999999999", math.MaxInt64},

		{"Sat, 21 Nov 2026 12:00:30 UTC", 30 * time.Second},
		{"Sat, 21 Nov 2026 04:00:30 -0800", 30 * time.Second},
		{"Sat, 21 Nov 2026 12:00:30", none}, // no zone, no instant
		{"Sat, 21 Nov 2026 12:00:30 EST", none},
		{"Sat, 21 Nov 2026 12:00:30 Z", none},
		{"Sat, 31 Nov 2026 12:00:30 GMT", none},
		{"Sat, 21 Nov 2026 24:00:30 GMT", none},
		{"Sat, 21 Nov 2026 12:00:61 GMT", none},
		{"Sat, 21 Nov 2026 12:60:00 GMT", none},
		{"Sat, 21 Nov 2026 12:00:60 GMT", time.Minute},
		{"Sat Nov 21 12:00:60 2026", time.Minute},
		{"Sat Nov 21 12:00:30 2026 PST", none},
		{"Tue Dec  1 12:00:00 2026", 10 * 24 * time.Hour},
		{"Fri, 31 Dec 9999 23:59:59 GMT", math.MaxInt64},
		{"Mon, 01 Jan 0001 00:00:00 GMT", 0},
		{"2026-11-21T12:00:30Z", 30 * time.Second},
		{"2026-11-21T13:00:30.25+01:00", 30250 * time.Millisecond},
		{"2026-11-21T12:00:30", none},
		{"Sat", none},
		// not yet more than 50 years ahead
		{"Friday, 20-Nov-76 12:00:00 GMT", noon.AddDate(50, 0, -1).Sub(noon)},
		{"Saturday, 21-Nov-76 12:00:00 GMT", noon.AddDate(50, 0, 0).Sub(noon)},
		{"Saturday, 21-Nov-76 12:00:01 GMT", 0},
		{"Saturday, 21-Nov-26 13:00:30 +0100", 30 * time.Second},

		{"Sat, 21 Nov 2026 12:00:30 GMT, 60", time.Minute},
		{"10, Sat, 21 Nov 2026 12:00:30 GMT", 30 * time.Second},
		{"Saturday, 21-Nov-26 12:00:30 GMT, Sat Nov 21 12:00:40 2026, 1", 40 * time.Second},
		{"120,,60", 2 * time.Minute},
	} {
		got := Parse(429, http.Header{"Retry-After": {c.value}}, noon)
		want := Hints{Wait: c.want, Known: true, Source: "retry-after", Throttled: true}
		if c.want == none {
			want = Hints{Throttled: true, Malformed: true}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%.60q (-want +got):\n%s", c.value, diff)
		}
	}
}

// A two-digit year means the latest one that is not more than 50 years ahead, also round a
// century's turn.
func TestTwoDigitYear(t *testing.T) {
	for _, c := range []struct{ now, value, want string }{
		{"2095-06-01T00:00:00Z", "01-Jun-05 00:00:00 GMT", "2105-06-01T00:00:00Z"},
		{"2095-06-01T00:00:00Z", "01-Jun-95 00:00:09 GMT", "2095-06-01T00:00:09Z"},
		{"2095-06-01T00:00:00Z", "01-Jun-46 00:00:00 GMT", "2046-06-01T00:00:00Z"},
		{"2001-01-01T00:00:00Z", "31-Dec-99 23:59:59 GMT", "1999-12-31T23:59:59Z"},
		{"1999-12-31T23:59:59Z", "01-Jan-00 00:00:00 GMT", "2000-01-01T00:00:00Z"},
		{"1950-01-01T00:00:00Z", "01-Jan-49 00:00:00 GMT", "1949-01-01T00:00:00Z"},
	} {
		now, err := time.Parse(time.RFC3339, c.now)
		test.OK(t, err)
		if got, ok := clock(c.value, now); !ok || got.UTC().Format(time.RFC3339) != c.want {
			t.Errorf("%s at %s = %v, %v; want %s", c.value, c.now, got, ok, c.want)
		}
	}
}

func TestParse(t *testing.T) {
	data, err := os.ReadFile("testdata/parse.txt")
	test.OK(t, err)
	for text := range strings.SplitSeq(strings.TrimSpace(string(data)), "\n\n") {
		if strings.HasPrefix(text, "#") {
			continue
		}
		title, rest, _ := strings.Cut(text, "\n")
		t.Run(title, func(t *testing.T) {
			status, err := strconv.Atoi(title[:3])
			test.OK(t, err)
			var h http.Header
			var want string
			for line := range strings.Lines(rest) {
				if strings.HasPrefix(line, "= ") {
					want += strings.TrimSuffix(line, "\n") + "\n"
					continue
				}
				if h == nil {
					h = http.Header{}
				}
				name, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), ":")
				lines := h[name]
				if ok {
					lines = append(lines, strings.Trim(strings.TrimPrefix(value, " "), "`"))
				}
				h[name] = lines // not Add: any spelling
			}
			before := h.Clone()
			got := Parse(status, h, noon)
			if diff := cmp.Diff(want, render(got)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if !maps.EqualFunc(before, h, slices.Equal) {
				t.Errorf("headers changed from %v to %v", before, h)
			}
		})
	}
}

// render returns hints as testdata/parse.txt has them.
func render(h Hints) string {
	var b strings.Builder
	if h.Known || h.Wait != 0 || h.Source != "" {
		fmt.Fprintf(&b, "= wait %v from %s\n", h.Wait, h.Source)
	}
	if h.Throttled {
		b.WriteString("= throttled\n")
	}
	if h.Malformed {
		b.WriteString("= malformed\n")
	}
	for _, l := range h.Limits {
		fmt.Fprintf(&b, "= quota %q of %s:", l.Policy, l.Unit)
		tell := func(name string, value any) {
			if value != int64(-1) && value != time.Duration(-1) {
				fmt.Fprintf(&b, " %s %v", name, value)
			}
		}
		tell("limit", l.Limit)
		tell("remaining", l.Remaining)
		tell("reset", l.Reset)
		tell("window", l.Window)
		if l.Dated {
			b.WriteString(" dated")
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// Any refusal with a wait is a throttle, unless its status speaks of that one request. A 503 is an
// overload.
func TestRefusalWithWait(t *testing.T) {
	one := []int{400, 401, 404, 405, 408, 409, 410, 411, 412, 413, 414, 415, 422, 501, 505}
	for status := 200; status <= 600; status++ {
		for source, header := range map[string]http.Header{
			"retry-after":         {"Retry-After": {"2"}},
			"retry-after-ms":      {"Retry-After-Ms": {"2000"}},
			"x-ms-retry-after-ms": {"X-Ms-Retry-After-Ms": {"2000"}},
		} {
			var want Hints
			if 300 <= status && status <= 599 {
				want = Hints{Wait: 2 * time.Second, Known: true, Source: source}
				want.Throttled = status >= 400 && status != 503 && !slices.Contains(one, status)
			}
			got := Parse(status, header, noon)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%d (-want +got):\n%s", status, diff)
			}
			if got.Asked() != want.Known {
				t.Errorf("%d with %s: asked = %v", status, source, got.Asked())
			}
			header = http.Header{"Retry-After": {"soon"}}
			if got := Parse(status, header, noon); got.Throttled != (status == 429) {
				t.Errorf("%d with rubbish: throttled = %v", status, got.Throttled)
			}
		}
		h := http.Header{"X-Ratelimit-Remaining": {"0"}, "X-Ratelimit-Reset": {"9"}}
		if quota := Parse(status, h, noon); !quota.Known || quota.Asked() {
			t.Errorf("%d with a quota used up: %+v", status, quota)
		}
	}
}

// A Date leaves out the fraction of a second. What is left of a window counts by the local clock if
// the two agree.
func TestResetAndDate(t *testing.T) {
	for _, c := range []struct {
		late  time.Duration // of the local clock, after the Date
		reset string        // 10 s after the Date
		want  time.Duration
	}{
		{0, "1795262410", 10 * time.Second},
		{900 * time.Millisecond, "1795262410", 9100 * time.Millisecond},
		{900 * time.Millisecond, "1795262410000", 9100 * time.Millisecond},
		{900 * time.Millisecond, "Sat, 21 Nov 2026 12:00:10 GMT", 9100 * time.Millisecond},
		{900 * time.Millisecond, "2026-11-21T12:00:10Z", 9100 * time.Millisecond},
		{900 * time.Millisecond, "10", 10 * time.Second},
		{1200 * time.Millisecond, "1795262410", 8800 * time.Millisecond}, // it was under way
		{1250 * time.Millisecond, "1795262410", 10 * time.Second},        // the clocks disagree
		{-time.Millisecond, "1795262410", 10 * time.Second},
		{time.Hour, "1795262410", 10 * time.Second},
		{-time.Hour, "1795262410", 10 * time.Second},
	} {
		date := noon.Format(http.TimeFormat)
		h := http.Header{"Date": {date}}
		h.Set("X-Ratelimit-Remaining", "7")
		h.Set("X-Ratelimit-Reset", c.reset)
		got := Parse(200, h, noon.Add(c.late)).Limits
		want := []Limit{unknown}
		want[0].Remaining, want[0].Reset, want[0].Dated = 7, c.want, c.reset != "10"
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s, %v after the Date (-want +got):\n%s", c.reset, c.late, diff)
		}

		// A date that was made of this Date and a delay has lost the same fraction.
		h = http.Header{"Date": {date}, "Retry-After": {c.reset}}
		if got := Parse(429, h, noon.Add(c.late)).Wait; got != 10*time.Second {
			t.Errorf("Retry-After: %s, %v after the Date: wait %v, want 10s", c.reset, c.late, got)
		}
	}
}

// What is too much to look at is unusable, and neither panics nor is kept.
func TestBounds(t *testing.T) {
	many := strings.Repeat(`"a";r=0;t=1,`, maxLimits) + `"a";r=0;t=1`
	long := `"` + strings.Repeat("a", maxField) + `";r=0;t=1`
	for name, value := range map[string]string{
		"Ratelimit": many, "Ratelimit-Policy": long,
		"Ratelimit-Limit": strings.Repeat("1,", maxField) + "1",
	} {
		got := Parse(429, http.Header{name: {value}}, noon)
		if diff := cmp.Diff(Hints{Throttled: true, Malformed: true}, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}

	h := http.Header{}
	for i := range 10 * maxLimits {
		h.Set("X-Ms-Ratelimit-Remaining-"+strconv.Itoa(i), "5")
	}
	if got := Parse(200, h, noon); len(got.Limits) != maxLimits {
		t.Errorf("%d limits, want %d", len(got.Limits), maxLimits)
	}
}

// commonHeader is what a response from behind a proxy carries, without throttling headers.
func commonHeader() http.Header {
	h := http.Header{}
	for _, name := range []string{
		"Age", "Cache-Control", "Content-Length", "Content-Type", "Date", "Etag", "Last-Modified",
		"Server", "Strict-Transport-Security", "Vary", "X-Content-Type-Options", "X-Request-Id",
	} {
		h.Set(name, "x")
	}
	return h
}

func TestNoAllocation(t *testing.T) {
	h := commonHeader()
	if n := testing.AllocsPerRun(100, func() { Parse(200, h, noon) }); n != 0 {
		t.Errorf("%v allocations for a response without throttling headers, want 0", n)
	}
}

func BenchmarkParse(b *testing.B) {
	with := func(lines ...string) http.Header {
		h := commonHeader()
		h.Set("Date", "Sat, 21 Nov 2026 12:00:00 GMT")
		h.Set("Age", "0")
		for i := 0; i < len(lines); i += 2 {
			h.Set(lines[i], lines[i+1])
		}
		return h
	}
	for _, c := range []struct {
		name   string
		status int
		h      http.Header
	}{
		{"none", 200, with()},
		{"retry-after", 429, with("Retry-After", "5")},
		{"date", 503, with("Retry-After", "Sat, 21 Nov 2026 12:00:30 GMT")},
		{"github", 200, with("X-Ratelimit-Limit", "5000", "X-Ratelimit-Remaining", "4999",
			"X-Ratelimit-Reset", "1795262460", "X-Ratelimit-Used", "1")},
		{"ratelimit", 200, with("Ratelimit-Policy", `"permin";q=50;w=60,"perhr";q=1000;w=3600`,
			"Ratelimit", `"permin";r=9;t=12,"perhr";r=900;t=3000`)},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				Parse(c.status, c.h, noon)
			}
		})
	}
}
