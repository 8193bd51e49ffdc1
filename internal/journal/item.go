package journal

import (
	"cmp"
	"math"
	"strings"
	"time"

	"github.com/penstock/penstock/internal/idmap"
	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/internal/results"
)

// Fingerprint is what an item's content was when it was sent. Two fingerprints are the same when
// size, mark and time are, to the nanosecond. Times before 1678 and after 2262 count as the first
// and the last instant between.
type Fingerprint struct {
	Size    int64
	ModTime time.Time // zero for what has none, as what is no file

	// Mark is a number of the caller's for what else distinguishes contents: a hash of where a file
	// is, or of what is no file. It is 0 where nothing else does.
	Mark uint64
}

// Item is a row of the journal.
type Item struct {
	ID     uint64 // identifies the item; the caller's hash
	Method string
	Path   string // of a file; "" for what is not a file
	Rel    string // what {path} stands for in a URL's template; "" if that is not known
	URL    string // redacted by the caller
	Key    string // that the item was given, or else the idempotency key that was made for it
	Fingerprint
	Digest     []byte // SHA-256 of the content; nil if not known
	State      item.Fate
	KeyMade    bool      // Key was made by the run, not given
	KeyUnsent  bool      // Key was given, and no request had it or what is made of it
	KeyMore    string    // the idempotency key where it was made of Key, and is another
	Doubt      bool      // an attempt may have been processed, whatever the last one was
	Older      bool      // the server may have the item with another content than this one
	Attempts   int       // requests sent for it, all runs together
	First      time.Time // start of the first attempt, to the millisecond; if zero, never sent
	Last       time.Time // last change, to the millisecond; Put and Begin take zero as now
	HTTPStatus int
	Error      string

	// Captured is what its answer said, "" if that was not asked for.
	Captured results.Captured
}

// SentKey returns the idempotency key that the item was sent with, or empty.
func (it Item) SentKey() string {
	if it.KeyUnsent {
		return ""
	}
	return cmp.Or(it.KeyMore, it.Key)
}

// What the column key_made says of the column key.
const (
	keyGiven  = iota
	keyMade   // by the run
	keyMore   // two lines: the key that was given, and the one that was made of it and sent
	keyUnsent // it was given, and not sent
)

// keyColumns returns what the file has of the item's key.
func (it Item) keyColumns() (key string, kind int) {
	switch {
	case it.KeyMade:
		return it.Key, keyMade
	case it.KeyUnsent:
		return it.Key, keyUnsent
	case it.KeyMore != "":
		return it.Key + "\n" + it.KeyMore, keyMore
	}
	return it.Key, keyGiven
}

// setKey is the inverse of keyColumns.
func (it *Item) setKey(key string, kind int) {
	it.Key, it.KeyMade, it.KeyUnsent = key, kind == keyMade, kind == keyUnsent
	if kind == keyMore {
		it.Key, it.KeyMore, _ = strings.Cut(key, "\n")
	}
}

// A Receipt is what the delivery of an item has left, the zero value if it was not delivered.
type Receipt struct {
	At       time.Time
	Captured results.Captured
}

// Receipt returns what the delivery of the item has left.
func (it Item) Receipt() Receipt {
	if it.State != item.Delivered {
		return Receipt{}
	}
	return Receipt{it.Last, it.Captured}
}

// captured is what the file has for c: nil if nothing was asked for.
func captured(c results.Captured) any {
	if c == "" {
		return nil
	}
	return string(c)
}

// nanos is what the file has for t: nanoseconds since 1970, nil for the zero time.
func nanos(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return clampNanos(t)
}

func clampNanos(t time.Time) int64 {
	switch s := t.Unix(); {
	case s < math.MinInt64/int64(time.Second):
		return math.MinInt64
	case s >= math.MaxInt64/int64(time.Second):
		return math.MaxInt64
	}
	return t.UnixNano()
}

// millis is what the file has for t: milliseconds since 1970, nil for the zero time.
func millis(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UnixMilli()
}

// print is a hash of the fingerprint as the file has it.
func (f Fingerprint) print() uint64 {
	return printOf(f.Size, clampNanos(f.ModTime), !f.ModTime.IsZero(), f.Mark)
}

func printOf(size, mtime int64, known bool, mark uint64) uint64 {
	h := idmap.Mix(idmap.Mix(uint64(size)) ^ mark)
	if known {
		h = idmap.Mix(h ^ uint64(mtime) + 1)
	}
	return h
}

// Show has a line of results show a receipt. Where nothing was to be captured it shows nothing: the
// journal is not asked then.
func (r Receipt) Show(out *results.Result) {
	if r.Captured != "" {
		out.Captured, out.DeliveredAt = r.Captured, r.At
	}
}

// Result returns the item as a line of results. What was in flight when its run was cut off is
// unknown.
func (it Item) Result() results.Result {
	r := results.Result{
		Time: it.Last, Path: it.Path, Rel: it.Rel, URL: it.URL, Method: it.Method,
		Key: it.Key, KeyMade: it.KeyMade, Status: it.State, HTTPStatus: it.HTTPStatus,
		Attempts: it.Attempts, Bytes: it.Size, Error: it.Error,
	}
	it.Receipt().Show(&r)
	if it.State == item.InFlight {
		r.Status, r.Error = item.Unknown, "it was in flight, and what became of it was not noted"
	}
	if !it.First.IsZero() {
		r.Seconds = max(0, it.Last.Sub(it.First).Seconds())
	}
	return r
}
