package hint

import (
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// FuzzParse takes headers as text, a line each, the way they look on the wire.
func FuzzParse(f *testing.F) {
	for _, c := range readCases(f) {
		var b strings.Builder
		for name, lines := range c.Headers {
			for _, line := range lines {
				b.WriteString(name + ": " + line + "\n")
			}
		}
		f.Add(c.Status, b.String(), c.Now.Unix())
	}
	for status, text := range map[int]string{
		200: "ratelimit: limit=100, remaining=0, reset=7\nRateLimit-Policy: 100;w=60\nAge: 0\n",
		429: "X-RateLimit-Limit: 10, 10;w=1, 50;w=60\nX-RateLimit-Remaining: 0;w=1\n" +
			"X-RateLimit-Reset-After: 1.5\nX-RateLimit-Reset-Day: 7\n",
		503: "Retry-After-Ms: 5\nDate: Sat, 21 Nov 2026 12:00:00 GMT\n" +
			"Retry-After: 2026-11-21T12:00:30Z, Saturday, 21-Nov-26 12:00:30 GMT\n",
	} {
		f.Add(status, text, int64(noonUnix))
	}

	f.Fuzz(func(t *testing.T, status int, text string, unix int64) {
		h := http.Header{}
		for line := range strings.Lines(text) {
			name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ":")
			h[name] = append(h[name], value) // not Add: any spelling
		}
		now := time.Unix(unix, 0)
		got := Parse(status, h, now)

		if got.Wait < 0 || got.Wait%time.Millisecond != 0 && got.Wait != never {
			t.Errorf("wait = %d ns", got.Wait)
		}
		if got.Known != (got.Source != "") || !got.Known && got.Wait != 0 {
			t.Errorf("wait %v, known %v, source %q", got.Wait, got.Known, got.Source)
		}
		if status == 429 && !got.Throttled || status < 400 && got.Throttled {
			t.Errorf("throttled = %v on %d", got.Throttled, status)
		}
		told := 0
		for _, l := range got.Limits {
			if l.Unit == "" && !strings.Contains(text, "qu=") || l.Limit < -1 || l.Remaining < -1 ||
				l.Reset < -1 || l.Window < -1 || l.Window == 0 {
				t.Errorf("limit %+v", l)
			}
			told += len(l.Policy)
		}
		if len(got.Limits) > maxLimits || told > 64*len(text) {
			t.Errorf("%d limits with %d bytes of names from %d bytes", len(got.Limits), told,
				len(text))
		}

		// Map order does not show.
		if again := Parse(status, h, now); !reflect.DeepEqual(got, again) {
			t.Errorf("first %+v, then %+v", got, again)
		}

		// The longest wait counts, so the order of lines does not; and what was asked for outright,
		// no quota changes.
		asks, reversed := http.Header{}, http.Header{}
		for name, lines := range h {
			switch strings.ToLower(name) {
			case "date":
				asks[name], reversed[name] = lines, lines
			case "retry-after", "retry-after-ms", "x-ms-retry-after-ms":
				asks[name], reversed[name] = lines, slices.Clone(lines)
				slices.Reverse(reversed[name])
			}
		}
		asked := Parse(status, asks, now)
		if back := Parse(status, reversed, now); !reflect.DeepEqual(asked, back) {
			t.Errorf("%+v, with lines reversed %+v", asked, back)
		}
		if asked.Known && (got.Wait != asked.Wait || got.Source != asked.Source) {
			t.Errorf("%+v with quotas, %+v without", got, asked)
		}
	})
}

// Twice the input may at most double the work. Allocations stand for it: they do not depend on the
// machine.
func TestLinear(t *testing.T) {
	for name, piece := range map[string]string{
		"Retry-After":                       "Sat, 21 Nov 2026 12:00:30 XYZ, ",
		"retry-after-ms":                    "9",
		"Date":                              "1 ",
		"Ratelimit":                         `"a";r=0;t=1,`,
		"Ratelimit-Policy":                  "a;q=1;w=1,",
		"Ratelimit-Limit":                   "1;w=1,",
		"X-Ratelimit-Remaining":             "1;a;b;c",
		"X-Ratelimit-Reset":                 "1.0000000000",
		"X-Ms-Ratelimit-Remaining-Resource": "a;1,",
	} {
		work := func(n int) float64 {
			h := http.Header{"Retry-After-Ms": {"x"}, name: {strings.Repeat(piece, n)}}
			return testing.AllocsPerRun(1, func() { Parse(429, h, noon) })
		}
		once, twice := work(2000), work(4000)
		if twice > 2*once+10 {
			t.Errorf("%s: %v allocations for twice the input, %v for once", name, twice, once)
		}
	}
}
