package report

import (
	"maps"
	"strconv"
	"time"

	"github.com/penstock/penstock/internal/outcome"
	"github.com/penstock/penstock/internal/progress"
	"github.com/penstock/penstock/internal/status"
	"github.com/penstock/penstock/internal/upstream"
)

// Summary is the report of a run. It marshals to the JSON report, schema version 1: fields are
// added, never renamed; times are RFC 3339, durations seconds, sizes bytes.
//
// Tally.Summary fills in what it counted. To (without secrets), ExitStatus, Rate.Ceiling, InFlight,
// Learned, LearnedByServer, Timeline and Lab are the caller's to set.
type Summary struct {
	SchemaVersion int                `json:"schema_version"`
	Command       string             `json:"command"`
	To            string             `json:"to"`
	Started       time.Time          `json:"started"`
	Finished      time.Time          `json:"finished"`
	Seconds       float64            `json:"seconds"`
	ExitStatus    int                `json:"exit_status"`
	Items         ItemCounts         `json:"items"`
	Bytes         ByteCounts         `json:"bytes"`
	Requests      RequestCounts      `json:"requests"`
	Rate          RateSummary        `json:"rate"`
	InFlight      InFlightSummary    `json:"in_flight"`
	Latency       *Latency           `json:"latency_seconds"` // null if nothing was answered
	Waited        Waited             `json:"waited_seconds"`
	Learned       progress.Learned   `json:"learned"`  // of the only server
	Timeline      *progress.Timeline `json:"timeline"` // null if none was kept
	Shard         *Shard             `json:"shard,omitempty"`
	Lab           any                `json:"lab,omitempty"` // a practice server's own verdict

	// LearnedByServer is set instead of Learned where there are several, the one that accepted most
	// first.
	LearnedByServer []ServerLearned `json:"learned_by_server,omitempty"`

	// CapturesMissing are delivered items whose answers lack something that was to be captured.
	CapturesMissing int64 `json:"captures_missing,omitempty"`

	// NotJournaled are items that failed and that the journal has nothing of.
	NotJournaled int64 `json:"-"`

	// Refusals are items that failed in this run, by the status of their last answer.
	Refusals map[int]int `json:"-"`

	// For people only.
	Verbose     bool         `json:"-"` // they want to know all
	Errors      []ErrorGroup `json:"-"` // of items neither delivered nor skipped, the largest first
	OtherErrors int64        `json:"-"` // items of still other kinds
	Next        []string     `json:"-"` // commands to give next, each after a few words
	Notes       []string     `json:"-"` // more lines for the text, such as when to come back
}

// Shard is the part of all items that the run was for.
type Shard struct {
	Number   int   `json:"number"` // from 1
	Of       int   `json:"of"`
	Items    int64 `json:"items"`     // in this shard
	AllItems int64 `json:"all_items"` // in all shards, as far as they are known
}

// ItemCounts says how items ended. Remaining are those that did not.
type ItemCounts struct {
	Total     int64 `json:"total"`
	Delivered int64 `json:"delivered"`
	Failed    int64 `json:"failed"`
	Unknown   int64 `json:"unknown"`
	Skipped   int64 `json:"skipped"`
	Deferred  int64 `json:"deferred"`
	Remaining int64 `json:"remaining"`
}

// ByteCounts counts request bodies.
type ByteCounts struct {
	Delivered int64 `json:"delivered"`
	Skipped   int64 `json:"skipped"`
}

// RequestCounts counts requests. Sent counts those on the wire, net/http's hidden resends included.
// Each of them is either in ByStatus, if it was answered, or in NoAnswer: by what went wrong, such
// as "connection refused", or as "resent" if net/http sent it once more by itself, as "cancelled",
// or as "not finished". Spoiled counts those whose file changed, or could not be read, while it was
// sent. Waste is the share of Sent that was throttled, overloaded, timed out or spoiled, or that
// the server failed to answer properly, as with 500; the last two are among the Errors, too.
type RequestCounts struct {
	Sent       int64            `json:"sent"`
	Accepted   int64            `json:"accepted"`
	Throttled  int64            `json:"throttled"`
	Overloaded int64            `json:"overloaded"`
	TimedOut   int64            `json:"timed_out"`
	Errors     int64            `json:"errors"`
	Spoiled    int64            `json:"spoiled"`
	ByStatus   map[string]int64 `json:"by_status"`
	NoAnswer   map[string]int64 `json:"no_answer"`
	Waste      float64          `json:"waste"`

	refused   int64 // answers that waste is made of, but for the spoiled
	brokenOff int64 // spoiled, without an answer
}

// RateSummary is in requests a second: the user's ceiling, and the limit in force at the end, which
// may have been found, or trimmed a little. Achieved is measured from the first request to the
// last, n requests making n-1 intervals; null for fewer than two. MaxIn1s is the largest number in
// any half-open second.
type RateSummary struct {
	Ceiling  progress.Optional `json:"ceiling"`
	Limit    progress.Optional `json:"limit"`
	Achieved progress.Optional `json:"achieved"`
	MaxIn1s  int               `json:"max_in_1s"`
}

// InFlightSummary has the user's ceiling, the limit in force at the end, and the most that were in
// flight at once.
type InFlightSummary struct {
	Ceiling progress.Optional `json:"ceiling"`
	Limit   progress.Optional `json:"limit"`
	Max     int               `json:"max"`
}

// Latency is in seconds. Percentiles are good to two digits, mean and maximum are exact.
type Latency struct {
	Mean float64 `json:"mean"`
	P50  float64 `json:"p50"`
	P95  float64 `json:"p95"`
	P99  float64 `json:"p99"`
	Max  float64 `json:"max"`
}

// Waited is run time, in seconds, during which a limit was what held the run back. It is no sum
// over waiters. It has all limits, as keys.
type Waited map[progress.Limit]float64

// ServerLearned is what was learned of one of several servers, which Server names by scheme, host
// and port.
type ServerLearned struct {
	Server string `json:"server"`
	progress.Learned
}

// SetLearned sets what was learned: of the only server, or of each of several.
func (s *Summary) SetLearned(servers []*upstream.Server) {
	for _, each := range servers {
		switch l := status.Learned(each.Learned()); {
		case len(servers) == 1:
			s.Learned = l
		case l != progress.Learned{}:
			s.LearnedByServer = append(s.LearnedByServer, ServerLearned{each.Key, l})
		}
	}
}

// Summary returns the report of a run that ended at finished. Total is the number of items known
// of; if it is less than the number that ended, as when an unbounded source was cut short, that
// number is taken.
func (t *Tally) Summary(finished time.Time, total int64) Summary {
	t.Hold(progress.NoLimit, finished)
	snap := t.Snapshot(finished)
	s := Summary{
		SchemaVersion: 1,
		Command:       "send",
		// A wall clock's nanoseconds are noise in a report.
		Started:  t.start.UTC().Round(time.Millisecond),
		Finished: finished.UTC().Round(time.Millisecond),
		Waited:   make(Waited),
		Seconds:  progress.Round(snap.Elapsed.Seconds(), 3),
		Bytes:    ByteCounts{Delivered: snap.DeliveredBytes, Skipped: snap.SkippedBytes},
		Items: ItemCounts{
			Total:     max(total, snap.Ended()),
			Delivered: snap.Delivered,
			Failed:    snap.Failed,
			Unknown:   snap.Unknown,
			Skipped:   snap.Skipped,
			Deferred:  snap.Deferred,
		},
	}
	s.Items.Remaining = s.Items.Total - snap.Ended()

	t.mu.Lock()
	defer t.mu.Unlock()
	s.Errors, s.OtherErrors = t.groups.list(), t.groups.others
	s.Rate.MaxIn1s = t.window.max
	if d := t.last - t.first; d > 0 {
		rate := float64(t.sent-1) / time.Duration(d).Seconds()
		s.Rate.Achieved = progress.Optional(progress.Round(rate, 3))
	}
	for limit := range limitNames {
		s.Waited[limit] = progress.Round(t.waited[limit].Seconds(), 3)
	}
	s.Requests, s.Latency = t.requestsLocked(), t.latencyLocked()
	s.Refusals = maps.Clone(t.refusals)
	return s
}

// Keys of RequestCounts.NoAnswer that nothing went wrong with, as far as that is known.
const (
	resent      = "resent"       // by net/http, when the connection was lost
	notFinished = "not finished" // under way when the run ended
	cancelled   = "cancelled"    // by us
)

func (t *Tally) requestsLocked() RequestCounts {
	by := &t.outcomes
	c := RequestCounts{
		Sent: t.sent, Accepted: by[outcome.Accepted], Throttled: by[outcome.Throttled],
		Overloaded: by[outcome.Overloaded], TimedOut: by[outcome.TimedOut],
		Spoiled:  by[outcome.Spoiled],
		Errors:   by[outcome.Errored] + by[outcome.Broken] + by[outcome.Spoiled],
		ByStatus: make(map[string]int64), NoAnswer: maps.Clone(t.failures),
		refused: t.refused, brokenOff: t.brokenOff,
	}
	for status, n := range t.statuses {
		c.ByStatus[strconv.Itoa(status)] = n
	}
	if t.resent > 0 {
		c.NoAnswer[resent] = t.resent
	}
	unfinished := t.sent - t.resent
	for _, n := range by {
		unfinished -= n
	}
	if unfinished > 0 {
		c.NoAnswer[notFinished] = unfinished
	}
	if c.Sent > 0 {
		wasted := c.Throttled + c.Overloaded + c.TimedOut + c.Spoiled + by[outcome.Broken]
		c.Waste = progress.Round(float64(wasted)/float64(c.Sent), 4)
	}
	return c
}

func (t *Tally) latencyLocked() *Latency {
	if t.samples == 0 {
		return nil
	}
	longest := progress.Round(t.max.Seconds(), 6)
	quantile := func(q float64) float64 {
		// The histogram names the upper end of a bucket, which may lie above all that was measured.
		return min(progress.Round(float64(t.latency.ValueAtQuantile(q))/1e6, 6), longest)
	}
	return &Latency{
		Mean: progress.Round(t.sum.Seconds()/float64(t.samples), 6),
		P50:  quantile(50), P95: quantile(95), P99: quantile(99), Max: longest,
	}
}
