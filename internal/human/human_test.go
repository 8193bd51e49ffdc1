package human

import (
	"testing"
	"time"
)

func TestNumbers(t *testing.T) {
	for _, tt := range []struct {
		d           time.Duration
		span, clock string
	}{
		{-1, "0 ms", "0 s"},
		{900 * time.Microsecond, "0.9 ms", "0 s"},
		{12 * time.Millisecond, "12 ms", "0 s"},
		{999499 * time.Microsecond, "999 ms", "1 s"},
		{999500 * time.Microsecond, "1 s", "1 s"},
		{9994 * time.Millisecond, "9.99 s", "10 s"},
		{9995 * time.Millisecond, "10 s", "10 s"},
		{59949 * time.Millisecond, "59.9 s", "1 m 0 s"},
		{59950 * time.Millisecond, "1 m", "1 m 0 s"},
		{3599 * time.Second, "59 m 59 s", "59 m 59 s"},
		{3 * time.Hour, "3 h", "3 h 0 m"},
		{50 * time.Hour, "2 d 2 h", "2 d 2 h"},
		{48 * time.Hour, "2 d", "2 d 0 h"},
	} {
		if got := Span(tt.d); got != tt.span {
			t.Errorf("Span(%v) = %q, want %q", tt.d, got, tt.span)
		}
		if got := Clock(tt.d); got != tt.clock {
			t.Errorf("Clock(%v) = %q, want %q", tt.d, got, tt.clock)
		}
	}
	for rate, want := range map[float64]string{
		0.004: "0.004 req/s", 3.96: "3.96 req/s", 9.8: "9.8 req/s", 4: "4 req/s",
		49.75: "49.7 req/s", 3.998: "3.99 req/s", 1234.5: "1,234 req/s",
	} {
		if got := Rate(rate); got != want {
			t.Errorf("Rate(%g) = %q, want %q", rate, got, want)
		}
	}
	for rate, want := range map[float64]string{
		0: "0.0/s", 0.05: "0.05/s", 0.994: "0.99/s", 0.996: "1.0/s", 4: "4.0/s", 49.96: "50.0/s",
		99.94: "99.9/s", 99.96: "100/s", 12345.6: "12,346/s",
	} {
		if got := PerSecond(rate, ""); got != want {
			t.Errorf("PerSecond(%g) = %q, want %q", rate, got, want)
		}
	}
}

// A limit that was given is named as it was given.
func TestExact(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0 ms", 250 * time.Microsecond: "0.25 ms", 250 * time.Millisecond: "250 ms",
		1500 * time.Millisecond: "1.5 s", 10 * time.Second: "10 s",
		61500 * time.Millisecond: "1 m 1.5 s", 90 * time.Minute: "1 h 30 m",
		time.Hour + 20*time.Second: "1 h 20 s", 72 * time.Hour: "72 h",
	} {
		if got := Exact(d); got != want {
			t.Errorf("Exact(%v) = %q, want %q", d, got, want)
		}
	}
}

// On a terminal no word is broken.
func TestWrap(t *testing.T) {
	for _, tt := range []struct {
		s     string
		width int
		want  string
	}{
		{"one two three four", 0, "one two three four"},
		{"one two three four", 18, "one two three four"},
		{"one two three four", 17, "one two three\n  four"},
		{"one two three four", 8, "one two\n  three\n  four"},
		{"größe größe größe", 11, "größe größe\n  größe"},
		{"a https://api.example.com/v1/files/{name} b", 20,
			"a https://api.example.com/v1/files/{name}\n  b"},
		{"  1 failed (such as data/a)", 20, "  1 failed (such as\n  data/a)"},
		{"for 12 s again", 6, "for\n  12 s\n  again"},
		{"any", 3, "any"},
		{"", 80, ""},
	} {
		if got := Wrap(tt.s, tt.width); got != tt.want {
			t.Errorf("%q in %d columns is %q, want %q", tt.s, tt.width, got, tt.want)
		}
	}
}

// A rate is announced in the unit that it can be given in.
func TestGivenRate(t *testing.T) {
	for _, c := range []struct {
		rate        float64
		says, given string
	}{
		{4, "4 req/s", "4"},
		{1, "1 req/s", "1"},
		{0.5, "0.5 req/s", "0.5"},
		{3000.0 / 60, "50 req/s", "50"},
		{100.0 / 60, "100 req/min", "100/min"},
		{1.0 / 60, "1 req/min", "1/min"},
		{10.0 / 3600, "10 req/h", "10/h"},
		{1000.0 / 86400, "1000 req/day", "1000/day"},
		{1e9, "1000000000 req/s", "1000000000"},
		{1.0 / (366 * 86400), "0.002 req/day", "0.002/day"},
		{10.123456, "10.123 req/s", "10.123"},
	} {
		if got := GivenRate(c.rate); got != c.says {
			t.Errorf("%v is %q, want %q", c.rate, got, c.says)
		}
		if got := RateFlag(c.rate); got != c.given {
			t.Errorf("%v is given as %q, want %q", c.rate, got, c.given)
		}
	}
}
