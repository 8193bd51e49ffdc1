package hint

import (
	"encoding/json"
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
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Cases []testCase }
	if err := json.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
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

			if want := c.Expect.WaitMS; want != nil && (!got.Known || got.Wait != time.Duration(*want)*time.Millisecond) {
				t.Errorf("wait = %v, known %v; want %d ms", got.Wait, got.Known, *want)
			} else if want == nil && c.Expect.OverCap != got.Known {
				t.Errorf("wait = %v, known %v; want known %v", got.Wait, got.Known, c.Expect.OverCap)
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
				limits = append(limits, Limit{Policy: l.Policy, Unit: l.Unit, Limit: orUnknown(l.Limit, 1), Remaining: orUnknown(l.Remaining, 1),
					Reset: time.Duration(orUnknown(l.ResetMS, 1e6)), Window: time.Duration(orUnknown(l.WindowMS, 1e6))})
			}
			if diff := cmp.Diff(limits, got.Limits, cmpopts.SortSlices(sortLimits), cmpopts.EquateEmpty(), cmpopts.IgnoreFields(Limit{}, "Dated")); diff != "" {
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

// One header on a 429 at noon, and the wait that it gives; -1 for none, which must be reported as malformed.
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
		{"Friday, 20-Nov-76 12:00:00 GMT", noon.AddDate(50, 0, -1).Sub(noon)}, // not yet more than 50 years ahead
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

// A two-digit year means the latest one that is not more than 50 years ahead, also round a century's turn.
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
		if err != nil {
			t.Fatal(err)
		}
		if got, ok := clock(c.value, now); !ok || got.UTC().Format(time.RFC3339) != c.want {
			t.Errorf("%s at %s = %v, %v; want %s", c.value, c.now, got, ok, c.want)
		}
	}
}

func TestParse(t *testing.T) {
	limit := func(policy string, limit, remaining int64, reset, window time.Duration) Limit {
		return Limit{Policy: policy, Unit: "requests", Limit: limit, Remaining: remaining, Reset: reset, Window: window}
	}
	dated := func(l Limit) Limit { l.Dated = true; return l }
	const day = 24 * time.Hour
	asked := func(source string, wait time.Duration, limits ...Limit) Hints {
		return Hints{Wait: wait, Known: true, Source: source, Limits: limits}
	}
	throttled := func(h Hints) Hints { h.Throttled = true; return h }
	malformed := func(h Hints) Hints { h.Malformed = true; return h }
	told := func(limits ...Limit) Hints { return Hints{Limits: limits} }

	for _, c := range []struct {
		name   string
		status int
		header http.Header
		want   Hints
	}{
		{"nothing on 200", 200, nil, Hints{}},
		{"nothing on 429", 429, nil, throttled(Hints{})},
		{"nothing on 403", 403, http.Header{"Server": {"x"}}, Hints{}},
		{"a name without lines", 429, http.Header{"Retry-After": {}}, throttled(Hints{})},

		// Retry-After, where it counts.
		{"503 is an overload", 503, http.Header{"Retry-After": {"1"}}, asked("retry-after", time.Second)},
		{"301 waits before the redirected request", 301, http.Header{"Retry-After": {"1"}}, asked("retry-after", time.Second)},
		{"403 with a wait", 403, http.Header{"Retry-After": {"60"}, "X-Ratelimit-Remaining": {"14"}},
			throttled(asked("retry-after", time.Minute, limit("", -1, 14, -1, -1)))},
		{"403 with rubbish", 403, http.Header{"Retry-After": {"soon"}}, malformed(Hints{})},
		{"413 without", 413, nil, Hints{}},
		{"423 with a quota used up", 423, http.Header{"X-Ratelimit-Remaining": {"0"}, "X-Ratelimit-Reset": {"9"}},
			asked("x-ratelimit-reset", 9*time.Second, limit("", -1, 0, 9*time.Second, -1))},
		{"202", 202, http.Header{"Retry-After": {"1"}}, Hints{}},

		// Which one of several.
		{"finer first", 429, http.Header{"Retry-After": {"2"}, "Retry-After-Ms": {"1250"}, "X-Ms-Retry-After-Ms": {"9"}},
			throttled(asked("retry-after-ms", 1250*time.Millisecond))},
		{"a zero is an answer", 429, http.Header{"Retry-After": {"0"}, "Ratelimit": {`"a";r=0;t=10`}},
			throttled(asked("retry-after", 0, limit("a", -1, 0, 10*time.Second, -1)))},
		{"one of two lines unusable", 429, http.Header{"Retry-After": {"soon", "60"}}, malformed(throttled(asked("retry-after", time.Minute)))},
		{"fractions of milliseconds", 503, http.Header{"Retry-After-Ms": {"1.25"}}, asked("retry-after-ms", 2*time.Millisecond)},
		{"eleven days in milliseconds", 503, http.Header{"Retry-After-Ms": {"1000000000"}}, asked("retry-after-ms", 1e9*time.Millisecond)},
		{"a Unix time in milliseconds", 503, http.Header{"Retry-After-Ms": {"1795262430500"}}, asked("retry-after-ms", 30500*time.Millisecond)},
		{"no date in milliseconds", 503, http.Header{"Retry-After-Ms": {"Sat, 21 Nov 2026 12:00:30 GMT"}}, malformed(Hints{})},
		{"a malformed field falls through", 429,
			http.Header{"Retry-After": {"x"}, "Ratelimit": {`"a`}, "X-Ratelimit-Remaining": {"0"}, "X-Ratelimit-Reset": {"9"}},
			malformed(throttled(asked("x-ratelimit-reset", 9*time.Second, limit("", -1, 0, 9*time.Second, -1))))},
		{"one with quota left falls through", 429,
			http.Header{"Ratelimit": {`"a";r=5;t=60`}, "X-Rate-Limit-Remaining": {"0"}, "X-Rate-Limit-Reset": {"9"}},
			throttled(asked("x-rate-limit-reset", 9*time.Second, limit("a", -1, 5, time.Minute, -1), limit("", -1, 0, 9*time.Second, -1)))},
		{"x-ratelimit before x-rate-limit", 429,
			http.Header{"X-Ratelimit-Remaining": {"0"}, "X-Ratelimit-Reset": {"9"}, "X-Rate-Limit-Remaining": {"0"}, "X-Rate-Limit-Reset": {"99"}},
			throttled(asked("x-ratelimit-reset", 9*time.Second, limit("", -1, 0, 99*time.Second, -1), limit("", -1, 0, 9*time.Second, -1)))},
		{"Reset-After before Reset", 429,
			http.Header{"X-Ratelimit-Remaining": {"0"}, "X-Ratelimit-Reset": {"1795262500"}, "X-Ratelimit-Reset-After": {"1.5"}},
			throttled(asked("x-ratelimit-reset-after", 1500*time.Millisecond, limit("", -1, 0, 1500*time.Millisecond, -1)))},
		{"unusable Reset-After", 429,
			http.Header{"X-Ratelimit-Remaining": {"0"}, "X-Ratelimit-Reset": {"1795262500"}, "X-Ratelimit-Reset-After": {"soon"}},
			malformed(throttled(asked("x-ratelimit-reset", 100*time.Second, dated(limit("", -1, 0, 100*time.Second, -1)))))},

		// Clocks.
		{"a Unix time by the server's clock", 429,
			http.Header{"Retry-After": {strconv.Itoa(noonUnix - 3600 + 5)}, "Date": {"Sat, 21 Nov 2026 11:00:00 GMT"}},
			throttled(asked("retry-after", 5*time.Second))},
		{"an RFC 850 Date", 429,
			http.Header{"Retry-After": {"Sat, 21 Nov 2026 11:00:05 GMT"}, "Date": {"Saturday, 21-Nov-26 11:00:00 GMT"}},
			throttled(asked("retry-after", 5*time.Second))},
		{"a delay needs no clock", 429, http.Header{"Retry-After": {"5"}, "Date": {"Sat, 21 Nov 2020 11:00:00 GMT"}},
			throttled(asked("retry-after", 5*time.Second))},

		// RateLimit.
		{"tokens as names", 200, http.Header{"Ratelimit-Policy": {"permin;q=50;w=60"}, "Ratelimit": {"permin;r=0;t=12"}},
			asked("ratelimit", 12*time.Second, limit("permin", 50, 0, 12*time.Second, time.Minute))},
		{"several lines", 200, http.Header{"Ratelimit": {`"a";r=0;t=12`, ` "b";r=0;t=30	`, ""}},
			asked("ratelimit", 30*time.Second, limit("a", -1, 0, 12*time.Second, -1), limit("b", -1, 0, 30*time.Second, -1))},
		{"a policy of which nothing is left to tell", 200,
			http.Header{"Ratelimit-Policy": {`"hour";q=1000;w=3600, "day";q=5000;w=86400`}, "Ratelimit": {`"day";r=100;t=36000`}},
			told(limit("day", 5000, 100, 10*time.Hour, day), limit("hour", 1000, -1, -1, time.Hour))},
		{"one policy, two partitions", 200, http.Header{"Ratelimit-Policy": {`"p";q=9;w=1`}, "Ratelimit": {`"p";r=1;pk=:YQ==:, "p";r=2;pk=:Yg==:`}},
			told(limit("p", 9, 1, -1, time.Second), limit("p", 9, 2, -1, time.Second))},
		{"concurrent requests", 200, http.Header{"Ratelimit-Policy": {`"c";q=4;qu="concurrent-requests"`}, "Ratelimit": {`"c";r=3`}},
			told(Limit{Policy: "c", Unit: "concurrent-requests", Limit: 4, Remaining: 3, Reset: -1, Window: -1})},
		{"used up on 404", 404, http.Header{"Ratelimit": {`"a";r=0;t=3`}}, asked("ratelimit", 3*time.Second, limit("a", -1, 0, 3*time.Second, -1))},
		{"used up on 403", 403, http.Header{"Ratelimit": {`"a";r=0;t=3`}},
			throttled(asked("ratelimit", 3*time.Second, limit("a", -1, 0, 3*time.Second, -1)))},
		{"used up on 503", 503, http.Header{"Ratelimit": {`"a";r=0;t=3`}},
			throttled(asked("ratelimit", 3*time.Second, limit("a", -1, 0, 3*time.Second, -1)))},
		{"window for want of a reset", 429, http.Header{"Ratelimit-Policy": {`"a";q=5;w=60`}, "Ratelimit": {`"a";r=0`}},
			throttled(asked("ratelimit", time.Minute, limit("a", 5, 0, -1, time.Minute)))},
		{"no window on a success", 200, http.Header{"Ratelimit-Policy": {`"a";q=5;w=60`}, "Ratelimit": {`"a";r=0`}},
			told(limit("a", 5, 0, -1, time.Minute))},
		{"one bad member spoils the field", 429, http.Header{"Ratelimit": {`"a";r=0;t=9, "b";t=9`}}, malformed(throttled(Hints{}))},
		{"negative", 429, http.Header{"Ratelimit": {`"a";r=-1;t=9`}}, malformed(throttled(Hints{}))},
		{"inner list", 429, http.Header{"Ratelimit": {`("a" "b");r=0;t=9`}}, malformed(throttled(Hints{}))},
		{"number as a name", 429, http.Header{"Ratelimit": {`5;r=0;t=9`}}, malformed(throttled(Hints{}))},
		{"empty", 200, http.Header{"Ratelimit": {" "}, "Ratelimit-Policy": {""}}, malformed(Hints{})},
		{"policy without a quota", 200, http.Header{"Ratelimit-Policy": {`"a";w=9`}, "Ratelimit": {`"a";r=0;t=9`}},
			malformed(asked("ratelimit", 9*time.Second, limit("a", -1, 0, 9*time.Second, -1)))},
		{"policy with an empty window", 200, http.Header{"Ratelimit-Policy": {`"a";q=1;w=0`}}, malformed(Hints{})},
		{"the longest window", 429, http.Header{"Ratelimit-Policy": {`"a";q=1;w=999999999999999`}, "Ratelimit": {`"a";r=0`}},
			throttled(asked("ratelimit", math.MaxInt64, limit("a", 1, 0, -1, math.MaxInt64)))},
		{"from a cache", 429, http.Header{"Ratelimit": {`"a";r=0;t=9`}, "Age": {"3"}, "Retry-After": {"4"}},
			throttled(asked("retry-after", 4*time.Second))},
		{"through a cache", 200, http.Header{"Ratelimit": {`"a";r=0;t=9`}, "Age": {"0"}},
			asked("ratelimit", 9*time.Second, limit("a", -1, 0, 9*time.Second, -1))},

		// Earlier drafts.
		{"-07", 200, http.Header{"Ratelimit": {"limit=100, remaining=0, reset=7"}},
			asked("ratelimit", 7*time.Second, limit("", 100, 0, 7*time.Second, -1))},
		{"-07 with policies", 200, http.Header{"Ratelimit": {"limit=100, remaining=50, reset=7"}, "Ratelimit-Policy": {"10;w=1, 100;w=60"}},
			told(limit("", 100, 50, 7*time.Second, time.Minute), limit("", 10, -1, -1, time.Second))},
		{"-07 without remaining", 429, http.Header{"Ratelimit": {"limit=100, reset=7"}},
			throttled(asked("ratelimit", 7*time.Second, limit("", 100, -1, 7*time.Second, -1)))},
		{"-07 without remaining on a success", 200, http.Header{"Ratelimit": {"limit=100, reset=7"}}, told(limit("", 100, -1, 7*time.Second, -1))},
		{"-07 with a decimal", 429, http.Header{"Ratelimit": {"limit=100, remaining=0, reset=7.5"}}, malformed(throttled(Hints{}))},
		{"-07 with other keys", 429, http.Header{"Ratelimit": {"a=1"}}, malformed(throttled(Hints{}))},
		{"-06", 200, http.Header{"Ratelimit-Limit": {"100"}, "Ratelimit-Remaining": {"0"}, "Ratelimit-Reset": {"7"}, "Ratelimit-Policy": {"100;w=60"}},
			asked("ratelimit-reset", 7*time.Second, limit("", 100, 0, 7*time.Second, time.Minute))},
		{"-03 with several policies", 200, http.Header{"Ratelimit-Limit": {`10, 10;w=1;burst=5;c="a, b", 50;w=60`}, "Ratelimit-Remaining": {"9"}},
			told(limit("", 10, 9, -1, time.Second), limit("", 50, -1, -1, time.Minute))},
		{"windows in both", 429, http.Header{"Ratelimit-Limit": {"100;w=21600"}, "Ratelimit-Remaining": {"0;w=21600"}},
			throttled(asked("ratelimit-remaining", 6*time.Hour, limit("", 100, 0, -1, 6*time.Hour)))},

		// X-RateLimit.
		{"a reset alone", 429, http.Header{"X-Ratelimit-Reset": {"30"}}, throttled(asked("x-ratelimit-reset", 30*time.Second, limit("", -1, -1, 30*time.Second, -1)))},
		{"a reset alone on a success", 200, http.Header{"X-Ratelimit-Reset": {"30"}}, told(limit("", -1, -1, 30*time.Second, -1))},
		{"quota left", 429, http.Header{"X-Ratelimit-Remaining": {"3"}, "X-Ratelimit-Reset": {"30"}}, throttled(told(limit("", -1, 3, 30*time.Second, -1)))},
		{"used up on 200", 200, http.Header{"X-Ratelimit-Remaining": {"0"}, "X-Ratelimit-Reset": {"30"}},
			asked("x-ratelimit-reset", 30*time.Second, limit("", -1, 0, 30*time.Second, -1))},
		{"used up on 400", 400, http.Header{"X-Ratelimit-Remaining": {"0"}, "X-Ratelimit-Reset": {"30"}},
			asked("x-ratelimit-reset", 30*time.Second, limit("", -1, 0, 30*time.Second, -1))},
		{"403 without a reset", 403, http.Header{"X-Ratelimit-Remaining": {"0"}}, throttled(told(limit("", -1, 0, -1, -1)))},
		{"part of a request", 429, http.Header{"X-Ratelimit-Remaining": {"0.9"}, "X-Ratelimit-Reset": {"1"}},
			throttled(asked("x-ratelimit-reset", time.Second, limit("", -1, 0, time.Second, -1)))},
		{"less than nothing", 403, http.Header{"X-Ratelimit-Remaining": {"-0.5"}}, malformed(Hints{})},
		{"two counts", 200, http.Header{"X-Ratelimit-Remaining": {"7", "3"}}, told(limit("", -1, 3, -1, -1))},
		{"a date", 429, http.Header{"X-Ratelimit-Remaining": {"0"}, "X-Ratelimit-Reset": {"Sat, 21 Nov 2026 12:00:30 GMT"}},
			throttled(asked("x-ratelimit-reset", 30*time.Second, dated(limit("", -1, 0, 30*time.Second, -1))))},
		{"no limit at all", 200, http.Header{"X-Ratelimit-Limit": {"9223372036854775807"}}, told(limit("", math.MaxInt64, -1, -1, -1))},
		{"neighbours", 429, http.Header{"X-Ratelimit-Used": {"?"}, "X-Ratelimit-Resource": {"core"}, "X-Ratelimit-Remaining-Teapots": {"?"},
			"X-Rated": {"?"}, "Ratelimited": {"?"}, "Retry-Afterwards": {"?"}}, throttled(Hints{})},
		{"windows, all used up", 429, http.Header{"X-Ratelimit-Remaining-Second": {"0"}, "X-Ratelimit-Remaining-Hour": {"0"}, "X-Ratelimit-Remaining-Day": {"7"}},
			throttled(asked("x-ratelimit-remaining-hour", time.Hour,
				limit("day", -1, 7, -1, day), limit("hour", -1, 0, -1, time.Hour), limit("second", -1, 0, -1, time.Second)))},
		{"windows on a success", 200, http.Header{"X-Ratelimit-Remaining-Hour": {"0"}}, told(limit("hour", -1, 0, -1, time.Hour))},
		{"a window with a reset", 200, http.Header{"X-Ratelimit-Remaining-Hour": {"0"}, "X-Ratelimit-Reset-Hour": {"90"}},
			asked("x-ratelimit-reset-hour", 90*time.Second, limit("hour", -1, 0, 90*time.Second, time.Hour))},
		{"a window's size alone", 429, http.Header{"X-Ratelimit-Limit-Hour": {"5"}}, throttled(told(limit("hour", 5, -1, -1, time.Hour)))},

		// Labels.
		{"either order", 200, http.Header{"X-Ratelimit-Limit-Burst": {"20"}, "X-Ratelimit-Burst-Remaining": {"7"}}, told(limit("burst", 20, 7, -1, -1))},
		{"a span before the part", 200, http.Header{"Ratelimit-Day-Remaining": {"7"}}, told(limit("day", -1, 7, -1, day))},
		{"two parts", 200, http.Header{"X-Ratelimit-Limit-Remaining": {"1"}, "X-Ratelimit-Day-Limit-Day": {"1"}}, told()},
		{"others' units", 200, http.Header{"Anthropic-Ratelimit-Unified-Remaining": {"0"}, "X-Ratelimit-Credits-Remaining": {"0"}}, told()},
		{"a reset with its unit", 429, http.Header{"X-Ratelimit-Remaining": {"0"}, "X-Ratelimit-Reset": {"1m0.0004s"}},
			throttled(asked("x-ratelimit-reset", time.Minute+time.Millisecond, limit("", -1, 0, time.Minute+time.Millisecond, -1)))},
		{"a reset with a sign", 429, http.Header{"X-Ratelimit-Remaining": {"0"}, "X-Ratelimit-Reset": {"+1s"}}, malformed(throttled(told(limit("", -1, 0, -1, -1))))},
		{"tokens used up on a success", 200, http.Header{"X-Ratelimit-Remaining-Tokens": {"0"}, "X-Ratelimit-Reset-Tokens": {"2s"}},
			asked("x-ratelimit-reset-tokens", 2*time.Second, Limit{Policy: "tokens", Unit: "tokens", Limit: -1, Remaining: 0, Reset: 2 * time.Second, Window: -1})},

		// Azure.
		{"resource scopes", 429, http.Header{"X-Ms-Ratelimit-Remaining-Resource": {"Microsoft.Compute/HighCostGet3Min;107, Microsoft.Compute/HighCostGet30Min;0"}},
			throttled(told(limit("Microsoft.Compute/HighCostGet3Min", -1, 107, -1, -1), limit("Microsoft.Compute/HighCostGet30Min", -1, 0, -1, -1)))},
		{"unusable scope", 200, http.Header{"X-Ms-Ratelimit-Remaining-Tenant-Reads": {"many"}}, malformed(Hints{})},

		// Other vendors.
		{"one in 59.88 s", 200, http.Header{"X-Amzn-Ratelimit-Limit": {"0.0167"}}, told(limit("", 1, -1, -1, 59880239521))},
		{"more than one a second, and a part", 200, http.Header{"X-Amzn-Ratelimit-Limit": {"2.5"}}, told(limit("", 1, -1, -1, 400*time.Millisecond))},
		{"nothing a second", 200, http.Header{"X-Amzn-Ratelimit-Limit": {"0.0"}}, told(limit("", 0, -1, -1, time.Second))},
		{"the most that can be told", 200, http.Header{"X-Amzn-Ratelimit-Limit": {"999999999.9999999999"}}, told(limit("", 1, -1, -1, 1))},
		{"more than can be told", 200, http.Header{"X-Amzn-Ratelimit-Limit": {"99999999999999999999.5"}}, told(limit("", math.MaxInt64, -1, -1, time.Second))},
		{"more than the bucket holds", 200, http.Header{"X-Shopify-Shop-Api-Call-Limit": {" 41 / 40 "}}, told(limit("", 40, 0, -1, -1))},
		{"of an empty bucket", 200, http.Header{"X-Shopify-Shop-Api-Call-Limit": {"/40", "1/"}}, malformed(Hints{})},
		{"the longest interval", 200, http.Header{"X-Hubspot-Ratelimit-Interval-Milliseconds": {"1e3", "9223372036855", "10"}, "X-Hubspot-Ratelimit-Max": {"5"}},
			malformed(told(limit("", 5, -1, -1, 10*time.Millisecond)))},
		{"HubSpot's names of others", 200, http.Header{"X-Ratelimit-Max": {"5"}, "X-Ratelimit-Daily": {"5"}}, told()},

		// Names in any case, and one name twice.
		{"lower case", 429, http.Header{"retry-after": {"5"}, "x-ratelimit-remaining-SECOND": {"0"}},
			throttled(asked("retry-after", 5*time.Second, limit("second", -1, 0, -1, time.Second)))},
		{"two spellings", 429, http.Header{"retry-after": {"5"}, "RETRY-AFTER": {"7"}, "Retry-After": {"6"}}, throttled(asked("retry-after", 7*time.Second))},
		{"lower-case Date", 429, http.Header{"Retry-After": {"Sat, 21 Nov 2026 11:00:05 GMT"}, "date": {"Sat, 21 Nov 2026 11:00:00 GMT"}},
			throttled(asked("retry-after", 5*time.Second))},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := c.header.Clone()
			got := Parse(c.status, c.header, noon)
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if !maps.EqualFunc(before, c.header, slices.Equal) {
				t.Errorf("headers changed from %v to %v", before, c.header)
			}
		})
	}
}

// Any refusal with a wait is a throttle, unless its status speaks of that one request. A 503 is an overload.
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
		quota := Parse(status, http.Header{"X-Ratelimit-Remaining": {"0"}, "X-Ratelimit-Reset": {"9"}}, noon)
		if !quota.Known || quota.Asked() {
			t.Errorf("%d with a quota used up: known = %v, asked = %v", status, quota.Known, quota.Asked())
		}
	}
}

// A Date leaves out the fraction of a second. What is left of a window counts by the local clock if the two agree.
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
		h := http.Header{"Date": {date}, "X-Ratelimit-Remaining": {"7"}, "X-Ratelimit-Reset": {c.reset}}
		got := Parse(200, h, noon.Add(c.late)).Limits
		want := []Limit{{Unit: "requests", Limit: -1, Remaining: 7, Reset: c.want, Window: -1, Dated: c.reset != "10"}}
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
	for name, value := range map[string]string{"Ratelimit": many, "Ratelimit-Policy": long, "Ratelimit-Limit": strings.Repeat("1,", maxField) + "1"} {
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
	for _, name := range []string{"Age", "Cache-Control", "Content-Length", "Content-Type", "Date", "Etag", "Last-Modified", "Server",
		"Strict-Transport-Security", "Vary", "X-Content-Type-Options", "X-Request-Id"} {
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
		{"github", 200, with("X-Ratelimit-Limit", "5000", "X-Ratelimit-Remaining", "4999", "X-Ratelimit-Reset", "1795262460", "X-Ratelimit-Used", "1")},
		{"ratelimit", 200, with("Ratelimit-Policy", `"permin";q=50;w=60,"perhr";q=1000;w=3600`, "Ratelimit", `"permin";r=9;t=12,"perhr";r=900;t=3000`)},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				Parse(c.status, c.h, noon)
			}
		})
	}
}
