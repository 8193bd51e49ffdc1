package lab

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
)

// values reads a preset's parameters. Its getters return the zero value after the first bad one,
// which stays in err.
type values struct {
	preset string
	text   map[string]string // each parameter of the preset, given or default
	err    error
}

// parse checks the names of the parameters given and fills in the defaults.
func parse(p Preset, given url.Values) (*values, error) {
	v := &values{preset: p.Name, text: map[string]string{}}
	var names []string
	for _, param := range p.Params {
		names = append(names, param.Name)
		v.text[param.Name] = param.Default
	}
	for _, name := range slices.Sorted(maps.Keys(given)) {
		if _, ok := v.text[name]; !ok {
			return nil, &UnknownError{"parameter of " + p.Name, name, names}
		}
		if len(given[name]) != 1 {
			return nil, fmt.Errorf("lab: %s: give %s once, not %d times", p.Name, name,
				len(given[name]))
		}
		v.text[name] = given[name][0]
	}
	return v, nil
}

func (v *values) bad(name, want string) {
	if v.err == nil {
		v.err = fmt.Errorf("lab: %s: bad %s=%q: want %s", v.preset, name, v.text[name], want)
	}
}

// count is a whole number, at least least.
func (v *values) count(name string, least int) int {
	n, err := strconv.Atoi(v.text[name])
	if err != nil || n < least || n > 1e9 {
		v.bad(name, fmt.Sprintf("a whole number of at least %d", least))
		return 0
	}
	return n
}

// interval is given as requests a second, and is the time from one to the next.
func (v *values) interval(name string) time.Duration {
	rate, err := strconv.ParseFloat(v.text[name], 64)
	if err != nil || !(rate >= 1e-6 && rate <= 1e9) {
		v.bad(name, "a number of requests a second, such as 20 or 0.5")
		return 0
	}
	// Rounded down: a client that rounds its own schedule is not early.
	return time.Duration(float64(time.Second) / rate)
}

// number is 0 or more.
func (v *values) number(name string) float64 {
	f, err := strconv.ParseFloat(v.text[name], 64)
	if err != nil || !(f >= 0 && f <= 1e9) {
		v.bad(name, "a number, 0 or more, such as 1.5")
		return 0
	}
	return f
}

// positive is more than 0.
func (v *values) positive(name string) float64 {
	f := v.number(name)
	if f < 1e-6 {
		v.bad(name, "a number above 0, such as 10 or 0.5")
	}
	return f
}

// duration is at least least.
func (v *values) duration(name string, least time.Duration) time.Duration {
	d, err := time.ParseDuration(v.text[name])
	if err != nil || d < least {
		v.bad(name, "a duration, such as 100ms or 1m30s")
		return 0
	}
	return d
}

// retryAfter is a number of seconds, or -1 for none.
func (v *values) retryAfter(name string) int {
	text := v.text[name]
	if text == "none" {
		return -1
	}
	n, err := strconv.Atoi(strings.TrimSuffix(text, "s"))
	if err != nil || n < 0 {
		v.bad(name, "whole seconds, such as 2, or none")
		return 0
	}
	return n
}

func (v *values) flag(name string) bool {
	switch v.text[name] {
	case "true", "on", "1":
		return true
	case "false", "off", "0":
		return false
	}
	v.bad(name, "true or false")
	return false
}

func (v *values) choice(name string, choices ...string) string {
	if !slices.Contains(choices, v.text[name]) {
		v.bad(name, strings.Join(choices, " or "))
	}
	return v.text[name]
}

// status is one of the given.
func (v *values) status(name string, choices ...int) int {
	text := make([]string, len(choices))
	for i, status := range choices {
		text[i] = strconv.Itoa(status)
	}
	status, _ := strconv.Atoi(v.choice(name, text...))
	return status
}

// share is a part of all requests, 0 to 1.
func (v *values) share(name string) float64 {
	f, err := strconv.ParseFloat(v.text[name], 64)
	if err != nil || !(f >= 0 && f <= 1) {
		v.bad(name, "a share from 0 to 1, such as 0.05")
		return 0
	}
	return f
}

// bandwidth is a size, with or without /s after it, in bytes a second.
func (v *values) bandwidth(name string) float64 {
	n, err := humanize.ParseBytes(strings.TrimSuffix(v.text[name], "/s"))
	if err != nil || n < 1 {
		v.bad(name, "bytes a second, such as 1MiB")
		return 0
	}
	return float64(n)
}

// bytes is a size.
func (v *values) bytes(name string) int64 {
	n, err := humanize.ParseBytes(v.text[name])
	if err != nil || n > 1<<40 {
		v.bad(name, "a size, such as 32MiB")
		return 0
	}
	return int64(n)
}
