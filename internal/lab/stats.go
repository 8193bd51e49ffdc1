package lab

import (
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/dustin/go-humanize"
)

// Stats is what a server has seen. Every request is in one of ByStatus,
// Unanswered and the few still under way.
type Stats struct {
	Preset      string           `json:"preset"`
	Requests    int64            `json:"requests"`      // that arrived; those for the stats are not counted
	Accepted    int64            `json:"accepted"`      // bodies stored, whether or not the client could learn of it
	Answered    int64            `json:"answered"`      // whole 2xx answers: the rest of Accepted is unknown to the client, but for the heads of truncated answers
	Refused     int64            `json:"refused"`       // answers of any other status
	Unanswered  int64            `json:"unanswered"`    // broken off by either side before a whole answer was sent
	ByStatus    map[int]int64    `json:"by_status"`     // whole answers
	Faults      map[string]int64 `json:"faults"`        // by kind, made on purpose by the presets flaky and down
	Bytes       int64            `json:"bytes"`         // of the bodies stored
	MaxInFlight int              `json:"max_in_flight"` // requests at once, from the header read to the answer
	MaxIn1s     int              `json:"max_in_1s"`     // arrivals in any half-open second
	MaxIn100ms  int              `json:"max_in_100ms"`  // arrivals in any half-open 100 ms
	Items       map[string]Item  `json:"items"`         // by name: the decoded path, with ? and the query where there is one; empty with record=false
}

// Item is what a server has stored under one name.
type Item struct {
	Size   int64    `json:"size"`           // of the last body, in bytes
	SHA256 string   `json:"sha256"`         // of the last body, in hexadecimal
	Times  int64    `json:"times"`          // how often a body was accepted
	Keys   []string `json:"keys,omitempty"` // the different idempotency keys that came with them, sorted
}

// stats copies the ledger. Unlike the ledger's other methods it takes time in
// proportion to the names stored, most of it after the lock is given back.
func (l *ledger) stats() Stats {
	l.mu.Lock()
	s := Stats{
		Requests:    l.mu.requests,
		Accepted:    l.mu.accepted,
		Unanswered:  l.mu.unanswered,
		ByStatus:    maps.Clone(l.mu.byStatus),
		Faults:      maps.Clone(l.mu.faults),
		Bytes:       l.mu.bytes,
		MaxInFlight: l.mu.maxInFlight,
		MaxIn1s:     l.mu.second.max,
		MaxIn100ms:  l.mu.tenth.max,
	}
	items, keys := maps.Clone(l.mu.items), maps.Clone(l.mu.keys)
	l.mu.Unlock()

	for status, n := range s.ByStatus {
		if status/100 == 2 {
			s.Answered += n
		} else {
			s.Refused += n
		}
	}
	s.Items = make(map[string]Item, len(items))
	for name, it := range items {
		s.Items[name] = Item{Size: it.size, SHA256: hex.EncodeToString(it.sum[:]), Times: it.times}
	}
	for k := range keys {
		it := s.Items[k.name]
		it.Keys = append(it.Keys, k.key)
		s.Items[k.name] = it
	}
	for _, it := range s.Items {
		slices.Sort(it.Keys)
	}
	return s
}

// Verdict is the stats in one line or two for people. The second line is there
// only when something went wrong.
func (s Stats) Verdict() []string {
	lines := []string{fmt.Sprintf("lab %s: %s, %s accepted, %s refused; at most %s in any second, %s in any 100 ms, %s in flight",
		s.Preset, number(s.Requests, "request"), humanize.Comma(s.Accepted), humanize.Comma(s.Refused),
		humanize.Comma(int64(s.MaxIn1s)), humanize.Comma(int64(s.MaxIn100ms)), humanize.Comma(int64(s.MaxInFlight)))}

	var odd []string
	if len(s.Faults) > 0 {
		var kinds []string
		for _, kind := range slices.Sorted(maps.Keys(s.Faults)) {
			kinds = append(kinds, humanize.Comma(s.Faults[kind])+" x "+kind)
		}
		odd = append(odd, "faults made: "+strings.Join(kinds, ", "))
	}
	if s.Unanswered > 0 {
		odd = append(odd, number(s.Unanswered, "request")+" without a whole answer")
	}
	if n := s.Accepted - s.Answered; n > 0 {
		odd = append(odd, humanize.Comma(n)+" accepted without one")
	}
	var again int64
	for _, it := range s.Items {
		if it.Times > 1 {
			again++
		}
	}
	if again > 0 {
		odd = append(odd, number(again, "name")+" accepted more than once")
	}
	if len(odd) > 0 {
		lines = append(lines, "lab "+s.Preset+": "+strings.Join(odd, "; "))
	}
	return lines
}

func number(n int64, what string) string {
	if n != 1 {
		what += "s"
	}
	return humanize.Comma(n) + " " + what
}
