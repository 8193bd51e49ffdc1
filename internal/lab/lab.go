// Package lab is a set of HTTP servers to practise on: each has the limits, or the faults, of
// servers that exist, and each judges its clients. New makes one from a preset's name and
// parameters, Start serves it on a listener, Stats returns what arrived.
//
// A lab is an independent judge. It imports none of this module's limiters and no other limiter
// either, but counts by itself what it sees: how many requests arrived in any second, how many were
// there at once, what was stored and whether its content is whole. An arrival is the instant at
// which the request's header was read.
//
// Every lab makes repetitions safe: it refuses a body that is not what its Content-Digest says, and
// a PUT with If-None-Match: * of a stored name; HEAD and GET of a stored name return its length,
// ETag and Repr-Digest. The parameter keys sets whether it honours idempotency keys. Without a
// record no name is found stored.
//
// A lab is no load balancer and no model of a network: it runs on loopback or in memory, and all
// its clients share its one limit, but for the presets tutorial and partner, which have one for
// each API key.
package lab

import (
	"fmt"
	"net/url"
	"slices"
)

// A Preset describes one kind of server.
type Preset struct {
	Name    string
	Summary string // one line
	Params  []Param
	Kinds   []Kind // what its parameter kind takes, where that needs more than a line
}

// A Param is a setting of a preset, in the form in which New takes it.
type Param struct {
	Name    string
	Default string
	Help    string // one line
}

// A Kind is a value that a parameter takes.
type Kind struct {
	Name string
	Help string // one line
}

// A rule decides what becomes of a request: it reads or leaves the body, stores it or not, and
// answers or breaks off. It is called by many goroutines at once.
type rule interface {
	serve(x *exchange)
}

// A preset is a Preset with its implementation.
type preset struct {
	Preset
	rule func(v *values) rule
}

var presets = []preset{
	strictPreset,
	windowPreset,
	tutorialPreset,
	partnerPreset,
	threadsPreset,
	connsPreset,
	cpuPreset,
	quotaPreset,
	slowPreset,
	flakyPreset,
	downPreset,
	hostilePreset,
}

var recordParam = Param{"record", "true",
	"keep size, SHA-256 and keys of each name; off for benchmarks"}

// Presets returns all presets with their parameters and defaults.
func Presets() []Preset {
	all := make([]Preset, len(presets))
	for i, p := range presets {
		all[i] = p.Preset
		all[i].Params = append(slices.Clone(p.Params), recordParam, keysParam)
	}
	return all
}

// New returns a server of the named preset, not yet started. Parameters that are not given have
// their defaults. An unknown preset or parameter is an UnknownError; the error for a bad value says
// what would do.
func New(name string, params url.Values) (*Server, error) {
	i := slices.IndexFunc(presets, func(p preset) bool { return p.Name == name })
	if i < 0 {
		var names []string
		for _, p := range presets {
			names = append(names, p.Name)
		}
		return nil, &UnknownError{"preset", name, names}
	}
	v, err := parse(Presets()[i], params)
	if err != nil {
		return nil, err
	}
	rule, record := presets[i].rule(v), v.flag("record")
	honour := v.choice("keys", "ignore", "honour") == "honour"
	if v.err == nil && honour && !record {
		v.err = fmt.Errorf("lab: %s: keys=honour needs the record: leave out record=%s", name,
			v.text["record"])
	}
	if v.err != nil {
		return nil, v.err
	}
	return newServer(name, rule, record, honour), nil
}

// An UnknownError is the error of New for a preset, or a parameter of one, that it does not know.
type UnknownError struct {
	What  string // "preset" or "parameter of NAME"
	Name  string
	Known []string // the names that there are
}

func (e *UnknownError) Error() string { return fmt.Sprintf("lab: unknown %s %q", e.What, e.Name) }
