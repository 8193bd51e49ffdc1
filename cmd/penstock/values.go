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

	"golang.org/x/time/rate"

	"github.com/penstock/penstock/internal/human"
	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/internal/nethttp"
	"github.com/penstock/penstock/internal/rules"
	"github.com/penstock/penstock/internal/send"
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
	// several: the flag may be given several times.
	several bool
	// words are what the value is one of, or several with commas. If nil, it may be any.
	words []string
}

func newValue[T any](to *T, kind string, parse func(string) (T, error)) *value[T] {
	v := severalValues(to, kind, func(_ T, s string) (T, error) { return parse(s) })
	v.several = false
	return v
}

// severalValues is a value whose flag may be given several times, or that finds that it was.
func severalValues[T any](to *T, kind string, read func(T, string) (T, error)) *value[T] {
	return &value[T]{to: to, kind: kind, read: read, several: true}
}

func (v *value[T]) String() string  { return v.text }
func (v *value[T]) Type() string    { return v.kind }
func (v *value[T]) known() []string { return v.words }
func (v *value[T]) repeated() bool  { return v.several }

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
	return newValue(to, kind, func(s string) (string, error) { return s, nil })
}

func duration(to *time.Duration) *value[time.Duration] {
	return newValue(to, "D", human.ParseDuration)
}

// oneOf is a value that is one of these words.
func oneOf(to *string, kind string, words ...string) *value[string] {
	v := newValue(to, kind, func(s string) (string, error) {
		return s, checkWord(s, words)
	})
	v.words = words
	return v
}

// fates is a value that is one or several of these, with commas between them and perhaps blanks.
// The flag may be given several times.
func fates(to *item.Fates, known ...item.Fate) *value[item.Fates] {
	var words []string
	for _, fate := range known {
		words = append(words, fate.String())
	}
	v := severalValues(to, "STATES", func(before item.Fates, s string) (item.Fates, error) {
		for name := range strings.SplitSeq(s, ",") {
			name = strings.TrimSpace(name)
			if err := checkWord(name, words); err != nil {
				return 0, err
			}
			before |= item.Select(name)
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

func readCapture(before rules.Captures, s string) (rules.Captures, error) {
	err := before.Add(s)
	return before, err
}

// rule is a value that is a rule of what an answer means. All flags for rules have one list, in the
// order in which they are given.
func rule(to *rules.Set, effect rules.Effect) *value[rules.Set] {
	return severalValues(to, "RULE", func(s rules.Set, text string) (rules.Set, error) {
		if err := s.Add(effect, text); err != nil {
			return s, valueError(": " + err.Error())
		}
		return s, nil
	})
}

// dialects names the sets of rules that there are for an effect.
func dialects(effect rules.Effect) string {
	return "the name of a set: " + strings.Join(rules.Dialects(effect), ", ")
}

func readMethod(s string) (string, error) {
	if err := nethttp.CheckMethod(strings.ToUpper(s)); err != nil {
		return "", valueError(": " + err.Error())
	}
	return s, nil
}

func readContentType(s string) (string, error) {
	if err := cmp.Or(source.CheckHeader("Content-Type", s), source.CheckNoVariable(s)); err != nil {
		return "", valueError(": " + status.Plain(err))
	}
	return s, nil
}

// readFollowTo reads a host that redirects may lead to, beside others.
func readFollowTo(before send.Hosts, s string) (send.Hosts, error) {
	u, err := url.Parse("//" + s)
	if err != nil || u.Host != s || u.Hostname() == "" || strings.Contains(s, "*") ||
		strings.HasSuffix(s, ":") {
		return nil, errors.New("want a host, such as files.example.com or files.example.com:8443")
	}
	return append(before, strings.ToLower(s)), nil
}

// readProxy reads a proxy's URL. An error does not show it, for it may have a password.
func readProxy(s string) (*url.URL, error) {
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
func readTime(s string) (time.Time, error) {
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

// readPace takes the slowest where several are given.
func readPace(before rate.Limit, s string) (rate.Limit, error) {
	pace, err := human.ParseRate(s)
	if err == nil && before > 0 {
		pace = min(pace, float64(before))
	}
	return rate.Limit(pace), err
}

func readBandwidth(s string) (rate.Limit, error) {
	n, err := human.ParseBandwidth(s)
	return rate.Limit(n), err
}

func size(to *int64) *value[int64] { return newValue(to, "SIZE", human.ParseSize) }

// maxWorkers is as many as can be of use; each costs some KiB.
const maxWorkers = 10_000

// wholeNumber returns a function that reads a number from 1 to most, or that word, which is 0.
func wholeNumber(most int, word string) func(string) (int, error) {
	want := "want a whole number, 1 or more"
	if most < math.MaxInt {
		want = fmt.Sprintf("want a whole number from 1 to %d", most)
	}
	if word != "" {
		want += ", or " + word
	}
	return func(s string) (int, error) {
		if n, err := strconv.Atoi(s); err == nil && n >= 1 && n <= most {
			return n, nil
		}
		if s == word {
			return 0, nil
		}
		return 0, errors.New(want)
	}
}
