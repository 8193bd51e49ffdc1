package main

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"golang.org/x/time/rate"

	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/internal/nethttp"
	"github.com/penstock/penstock/internal/source"
	"github.com/penstock/penstock/internal/status"
)

// A value is a flag's value that is read by a function of its own.
type value[T any] struct {
	to   *T
	kind string // what the help calls it
	text string

	// read gets what was read before where the flag is given several times.
	read func(before T, s string) (T, error)
	// words are what the value is one of, or several with commas. If nil, it may be any.
	words []string
}

func newValue[T any](to *T, kind string, read func(T, string) (T, error)) *value[T] {
	return &value[T]{to: to, kind: kind, read: read}
}

func (v *value[T]) String() string  { return v.text }
func (v *value[T]) Type() string    { return v.kind }
func (v *value[T]) known() []string { return v.words }

func (v *value[T]) Set(s string) error {
	if s == "" { // as a variable without a value leaves it: the run would go on without its token
		return valueError(" is empty: give a value, or leave it out")
	}
	to, err := v.read(*v.to, s)
	if err != nil {
		return err
	}
	*v.to, v.text = to, s
	return nil
}

// or returns the value with a default.
func (v *value[T]) or(text string) *value[T] {
	if err := v.Set(text); err != nil {
		panic(err)
	}
	return v
}

// A valueError is what is wrong with a flag's value, in words that follow the flag's name.
type valueError string

func (e valueError) Error() string { return string(e) }

// text is a value that is taken as it is.
func text(to *string, kind string) *value[string] {
	return newValue(to, kind, func(_, s string) (string, error) { return s, nil })
}

func duration(to *time.Duration) *value[time.Duration] { return newValue(to, "D", readDuration) }

// oneOf is a value that is one of these words.
func oneOf(to *string, kind string, words ...string) *value[string] {
	v := newValue(to, kind, func(_, s string) (string, error) {
		return s, checkWord(s, words)
	})
	v.words = words
	return v
}

// fates is a value that is one or several of these, with commas between them and perhaps blanks.
// The flag may be given several times.
func fates(to *[]item.Fate, known ...item.Fate) *value[[]item.Fate] {
	var words []string
	for _, fate := range known {
		words = append(words, fate.String())
	}
	v := newValue(to, "STATES", func(before []item.Fate, s string) ([]item.Fate, error) {
		for name := range strings.SplitSeq(s, ",") {
			name = strings.TrimSpace(name)
			if err := checkWord(name, words); err != nil {
				return nil, err
			}
			if chosen := item.Select(name); !slices.Contains(before, chosen[0]) {
				before = append(before, chosen...)
			}
		}
		return before, nil
	})
	v.words = words
	return v
}

func checkWord(s string, words []string) error {
	if !slices.Contains(words, s) {
		return valueError(fmt.Sprintf(" %q: use %s", s, alternatives(words)))
	}
	return nil
}

// alternatives writes words with commas, and "or" before the last.
func alternatives(words []string) string {
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

// readForm reads the name of a form's one field. Other tools take a form's other fields by the same
// flag.
func readForm(before, s string) (string, error) {
	switch {
	case strings.Contains(s, "="):
		return "", errors.New("want the name of the field that holds the file; " +
			"other fields of a form are not supported yet")
	case before != "":
		return "", fmt.Errorf("it is given twice, and before as %q: "+
			"a form has one field, which holds the file", before)
	}
	return s, source.CheckNoVariable(s)
}

func readMethod(_, s string) (string, error) {
	if err := nethttp.CheckMethod(strings.ToUpper(s)); err != nil {
		return "", valueError(": " + err.Error())
	}
	return s, nil
}

func readContentType(_, s string) (string, error) {
	if err := cmp.Or(source.CheckHeader("Content-Type", s), source.CheckNoVariable(s)); err != nil {
		return "", valueError(": " + status.Plain(err))
	}
	return s, nil
}

// readProxy reads a proxy's URL. An error does not show it, for it may have a password.
func readProxy(_ *url.URL, s string) (*url.URL, error) {
	u, err := url.Parse(s)
	if err != nil || u.Host == "" {
		return nil, valueError(": want a URL such as http://proxy.example.com:3128")
	}
	switch u.Scheme {
	case "http", "https", "socks5", "socks5h":
		return u, nil
	}
	// net/http would take it for an HTTP proxy.
	return nil, valueError(fmt.Sprintf(" %s://…: want http, https, socks5 or socks5h", u.Scheme))
}

// readTime reads an instant, or "now".
func readTime(_ time.Time, s string) (time.Time, error) {
	if s == "now" {
		return time.Now(), nil
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		t, err = time.ParseInLocation(time.DateOnly, s, time.Local)
	}
	if err != nil {
		return t, errors.New("want an instant such as 2006-01-02 or 2006-01-02T15:04:05Z, " +
			"or nothing: all that was delivered before now")
	}
	return t, nil
}

// perTime are the units of time that a pace may be given in.
var perTime = map[string]float64{
	"s": 1, "sec": 1, "second": 1, "m": 60, "min": 60, "minute": 60,
	"h": 3600, "hour": 3600, "d": 86400, "day": 86400,
}

const (
	slowest = 1.0 / (366 * 86400) // requests a second
	fastest = 1e9
)

// readPace reads "4", "0.5" or "3000/min". Of several, the slowest holds.
func readPace(before rate.Limit, s string) (rate.Limit, error) {
	number, unit, given := strings.Cut(s, "/")
	per := 1.0
	if given {
		var ok bool
		if per, ok = perTime[strings.TrimSpace(unit)]; !ok {
			return 0, fmt.Errorf("%q is no unit of time: use s, min, h or d, as in 3000/min", unit)
		}
	}
	n, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	if err != nil || !(n > 0) {
		return 0, errors.New("want requests a second, more than 0, such as 4, 0.5 or 3000/min")
	}
	pace := rate.Limit(n / per)
	switch {
	case pace < slowest:
		return 0, errors.New("that is less than one request in a year")
	case pace > fastest:
		return 0, errors.New("that is more than a thousand million requests a second: " +
			"leave --rps out for no limit")
	}
	if before > 0 {
		pace = min(pace, before)
	}
	return pace, nil
}

// readBandwidth reads "10MiB/s". A number alone could be bits, bytes or
// mebibytes, so it is refused.
func readBandwidth(_ rate.Limit, s string) (rate.Limit, error) {
	size := strings.TrimSuffix(s, "/s")
	if _, err := strconv.ParseFloat(size, 64); err == nil {
		return 0, errors.New("give a unit, such as 10MiB/s, 500kB/s or 100B/s")
	}
	if strings.HasSuffix(size, "b") {
		return 0, errors.New("that may mean bits: give bytes, with a capital B, such as 10MB/s")
	}
	n, err := humanize.ParseBytes(size)
	if err != nil || n == 0 || n > math.MaxInt64 || strings.Contains(size, "/") {
		return 0, errors.New("want bytes a second, more than 0, such as 10MiB/s or 500kB/s")
	}
	return rate.Limit(n), nil
}

// readCount reads a whole number of at least 1.
func readCount(_ int, s string) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 {
		return 0, errors.New("want a whole number, 1 or more")
	}
	return n, nil
}

// maxWorkers is as many as can be of use; each costs some KiB.
const maxWorkers = 10_000

// readWorkers reads a whole number that goroutines can be made of.
func readWorkers(_ int, s string) (int, error) {
	n, err := readCount(0, s)
	if err != nil || n > maxWorkers {
		return 0, errors.New("want a whole number from 1 to 10000")
	}
	return n, nil
}

// readConcurrency reads a whole number, or "auto", which is 0.
func readConcurrency(_ int, s string) (int, error) {
	if s == "auto" {
		return 0, nil
	}
	n, err := readCount(0, s)
	if err != nil {
		return 0, errors.New("want a whole number, 1 or more, or auto")
	}
	return n, nil
}

const maxDays = 36500

// readDuration reads "90s", "1h30m" or "2d".
func readDuration(_ time.Duration, s string) (time.Duration, error) {
	if n, err := strconv.ParseFloat(s, 64); err == nil && n > 0 && n <= maxDays {
		return 0, fmt.Errorf("give a unit, such as %ss or %sm", s, s)
	}
	d, err := time.ParseDuration(s)
	if days, ok := strings.CutSuffix(s, "d"); ok {
		var n float64
		if n, err = strconv.ParseFloat(days, 64); n < maxDays {
			d = time.Duration(n * 24 * float64(time.Hour))
		}
	}
	if err != nil || d <= 0 || d > maxDays*24*time.Hour {
		return 0, errors.New("want a time, more than 0, such as 30s, 5m or 2h")
	}
	return d, nil
}
