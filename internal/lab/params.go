package lab

import (
	"fmt"
	"maps"
	"math"
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

// float is a number from least to most.
func (v *values) float(name string, least, most float64, want string) float64 {
	f, err := strconv.ParseFloat(v.text[name], 64)
	if err != nil || !(f >= least && f <= most) {
		v.bad(name, want)
		return 0
	}
	return f
}

// interval is given as requests a second, and is the time from one to the next.
func (v *values) interval(name string) time.Duration {
	rate := v.float(name, 1e-6, 1e9, "a number of requests a second, such as 20 or 0.5")
	if rate == 0 {
		return 0
	}
	// Rounded down: a client that rounds its own schedule is not early.
	return time.Duration(float64(time.Second) / rate)
}

// sigma is the spread of a log-normal distribution.
func (v *values) sigma() float64 {
	return v.float("sigma", 0, 1e9, "a number, 0 or more, such as 1.5")
}

// seed is the one of a preset's random choices.
func (v *values) seed() uint64 { return uint64(v.count("seed", 0)) }

// share is a part of all requests.
func (v *values) share(name string) float64 {
	return v.float(name, 0, 1, "a share from 0 to 1, such as 0.05")
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

// bandwidth is a size, with or without /s after it, in bytes a second.
func (v *values) bandwidth(name string) float64 {
	return float64(v.size(name, 1, math.MaxInt64, "bytes a second, such as 1MiB"))
}

// bytes is a size.
func (v *values) bytes(name string) int64 { return v.size(name, 0, 1<<40, "a size, such as 32MiB") }

func (v *values) size(name string, least, most uint64, want string) int64 {
	n, err := humanize.ParseBytes(strings.TrimSuffix(v.text[name], "/s"))
	if err != nil || n < least || n > most {
		v.bad(name, want)
		return 0
	}
	return int64(n)
}
