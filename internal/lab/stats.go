package lab

import (
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/penstock/penstock/internal/human"
)

// Stats is what a server has seen. Every request is in one of ByStatus, Unanswered and the few
// still under way. An answer counts when it was sent, to a client that by all that the server could
// see was still there.
type Stats struct {
	Preset string `json:"preset"`
	// that arrived; those that only look, for the stats or at what is stored, are not counted
	Requests int64 `json:"requests"`
	// bodies stored, whether or not the client could learn of it
	Accepted int64 `json:"accepted"`
	// of these, those of which no whole 2xx answer was sent, or not yet
	Unknown  int64 `json:"unknown"`
	Answered int64 `json:"answered"` // whole 2xx answers
	Refused  int64 `json:"refused"`  // answers of any other status
	// broken off by either side before a whole answer was sent
	Unanswered int64 `json:"unanswered"`
	// not stored, as the idempotency key had been accepted (keys=honour)
	Replayed int64 `json:"replayed"`
	// came with an idempotency key that its name had been accepted with, and another body
	Reused int64 `json:"reused"`
	// not stored, as the body was not what its Content-Digest said
	BadDigest int64 `json:"bad_digest"`
	// Of the preset partner: not stored, as a field or a file was missing; as the body could not be
	// read; as the checksum was missing or wrong
	MissingField int64 `json:"missing_field"`
	Malformed    int64 `json:"malformed"`
	BadChecksum  int64 `json:"bad_checksum"`
	// of the preset partner: refused, as a key was over its rate or over its quota
	OverRate  int64 `json:"over_rate"`
	OverQuota int64 `json:"over_quota"`
	// of the preset partner: not stored, and answered 200 with "success":false
	Rejected int64 `json:"rejected"`
	// GET and HEAD of names, in none of the above
	Looked   int64         `json:"looked"`
	ByStatus map[int]int64 `json:"by_status"` // whole answers
	// by kind, made on purpose by the presets flaky, down and hostile
	Faults map[string]int64 `json:"faults"`
	Bytes  int64            `json:"bytes"` // of the bodies stored
	// requests at once, from the header read to the answer
	MaxInFlight int `json:"max_in_flight"`
	MaxIn1s     int `json:"max_in_1s"`    // arrivals in any half-open second
	MaxIn100ms  int `json:"max_in_100ms"` // arrivals in any half-open 100 ms
	// by name, see [Name]; empty with record=false
	Items map[string]Item `json:"items"`
}

// Item is what a server has stored under one name.
type Item struct {
	Size   int64  `json:"size"`   // of the last body, in bytes
	SHA256 string `json:"sha256"` // of the last body, in hexadecimal
	Times  int64  `json:"times"`  // how often a body was accepted
	// the different idempotency keys that came with them, sorted
	Keys []string `json:"keys,omitempty"`

	// Where the name got different bodies, as a URL that many are sent to: how often each was
	// accepted and the keys that came with it, by SHA-256. Else nil.
	Contents    map[string]int64    `json:"contents,omitempty"`
	ContentKeys map[string][]string `json:"content_keys,omitempty"`
}

// stats copies the ledger. Unlike the ledger's other methods it takes time in proportion to the
// names stored, most of it after the lock is given back.
func (l *ledger) stats() Stats {
	l.mu.Lock()
	s := l.mu.stats
	s.Unknown = s.Accepted - l.mu.told
	s.MaxIn1s, s.MaxIn100ms = l.mu.second.max, l.mu.tenth.max
	s.ByStatus, s.Faults = maps.Clone(s.ByStatus), maps.Clone(s.Faults)
	items, contents := maps.Clone(l.mu.items), maps.Clone(l.mu.contents)
	keys := maps.Clone(l.mu.keys)
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
		i := Item{Size: it.size, SHA256: hex.EncodeToString(it.sum[:]), Times: it.times}
		if it.several {
			i.Contents = map[string]int64{}
		}
		s.Items[name] = i
	}
	for c, times := range contents {
		s.Items[c.name].Contents[hex.EncodeToString(c.sum[:])] = times
	}
	for k, sum := range keys {
		it := s.Items[k.name]
		it.Keys = append(it.Keys, k.key)
		if it.Contents != nil {
			if it.ContentKeys == nil {
				it.ContentKeys = map[string][]string{}
			}
			of := hex.EncodeToString(sum[:])
			it.ContentKeys[of] = append(it.ContentKeys[of], k.key)
		}
		s.Items[k.name] = it
	}
	for _, it := range s.Items {
		slices.Sort(it.Keys)
		for _, keys := range it.ContentKeys {
			slices.Sort(keys)
		}
	}
	return s
}

// Verdict is the stats in one line or two for people. The second line is there only when there was
// more than plain acceptances and refusals.
func (s Stats) Verdict() []string {
	lines := []string{fmt.Sprintf("lab %s: %s, %s accepted, %s refused; at most %s in any "+
		"second, %s in any 100 ms, %s in flight",
		s.Preset, number(s.Requests, "request"), human.Count(s.Accepted), human.Count(s.Refused),
		human.Count(s.MaxIn1s), human.Count(s.MaxIn100ms), human.Count(s.MaxInFlight))}

	var odd []string
	say := func(n int64, what string) {
		if n > 0 {
			odd = append(odd, what)
		}
	}
	var kinds []string
	for _, kind := range slices.Sorted(maps.Keys(s.Faults)) {
		kinds = append(kinds, human.Count(s.Faults[kind])+" x "+kind)
	}
	say(int64(len(kinds)), "faults made: "+strings.Join(kinds, ", "))
	say(s.Unanswered, number(s.Unanswered, "request")+" without a whole answer")
	say(s.Unknown, human.Count(s.Unknown)+" accepted without a whole 2xx answer")
	say(s.again(), number(s.again(), "file")+" accepted more than once")
	say(s.Replayed, number(s.Replayed, "request")+" recognised by the key and not stored again")
	say(s.Reused, number(s.Reused, "request")+" with the key of another content")
	say(s.BadDigest, number(s.BadDigest, "request")+" with a wrong digest")
	say(s.MissingField, number(s.MissingField, "request")+" without a required field")
	say(s.Malformed, number(s.Malformed, "request")+" that could not be decoded")
	say(s.BadChecksum, number(s.BadChecksum, "request")+" with a wrong checksum or none")
	say(s.OverRate, number(s.OverRate, "request")+" over the rate")
	say(s.OverQuota, number(s.OverQuota, "request")+" over the quota")
	say(s.Rejected, number(s.Rejected, "file")+" rejected in an answer of 200")
	if len(odd) > 0 {
		lines = append(lines, "lab "+s.Preset+": "+strings.Join(odd, "; "))
	}
	return lines
}

// again is how many contents were accepted more than once under the same name.
func (s Stats) again() (n int64) {
	for _, it := range s.Items {
		if it.Contents == nil && it.Times > 1 {
			n++
		}
		for _, times := range it.Contents {
			if times > 1 {
				n++
			}
		}
	}
	return n
}

func number(n int64, what string) string {
	if n != 1 {
		what += "s"
	}
	return human.Count(n) + " " + what
}
