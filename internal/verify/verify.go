// Package verify asks servers whether they have an item that may have arrived: by the length, date
// and hashes that they report, or by reading it back. It decides nothing about the item, and sends
// nothing but questions.
package verify

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/internal/nethttp"
)

// A Verdict says what a server has at an item's URL.
type Verdict uint8

const (
	CannotTell Verdict = iota // nothing follows: the item stays what it was
	There                     // the item is
	Absent                    // nothing is, so that sending is no second time
	Other                     // something else is: an older version, or a page for all URLs
)

func (v Verdict) String() string {
	return [...]string{"cannot tell", "there", "absent", "other"}[v]
}

// A Verifier asks servers whether items have arrived. It is safe for concurrent use.
type Verifier struct {
	Client *http.Client // whose transport paces; its rules for redirects do not count

	// Timeout is the longest for one answer, waiting for its turn not counted, and a second more
	// for each MiB where the file itself comes back. If 0, a minute.
	Timeout time.Duration

	// Settle is how long after an attempt a server may still be at work on it. A gateway that
	// answers 504 has given up waiting, what is behind it has not: that nothing is there counts
	// only later. Thirty seconds, or twice the attempt's timeout if that is more, is a good choice.
	Settle time.Duration

	// KeyHeader is that of idempotency keys, where it is another than the usual: a server may take
	// what has a key for work.
	KeyHeader string

	mu       sync.Mutex
	controls map[string]*controls // by method and server
}

// A control is an item that arrived for certain.
type control struct {
	item   item.Item
	header http.Header
}

const (
	// maxControls are remembered of each server and method: something may have fetched one since.
	maxControls = 4
	// maxServers bounds what is remembered.
	maxServers = 1024
)

// Controls of one server. Where one of them is found at its URL, a server that need not keep things
// there does so.
type controls struct {
	items []control
	kept  bool // known
}

// Known is what is known of an item beside its size.
type Known struct {
	SHA256 []byte    // if nil, the content is read, if there is a hash to compare it with
	Began  time.Time // when it was first sent; if zero, not known
	Ended  time.Time // when the last attempt ended; if zero, long ago
	Older  bool      // the server may have another content, of which a length and a date may be
}

// OwnURL reports whether an item's URL is its own, so that what is there is about this item. PUT
// says so by itself. A POST's URL is its own if it was made of a template with a variable, which
// several denies, or ends in the item's name or key.
func OwnURL(it item.Item, several bool) bool {
	if !nethttp.SharesURL(it.Method) || !several {
		return true
	}
	u, err := url.Parse(it.URL)
	if err != nil {
		return false
	}
	last := u.Path[strings.LastIndexByte(u.Path, '/')+1:]
	name := filepath.Base(it.Path)
	bare := strings.TrimSuffix(name, filepath.Ext(name))
	return last != "" && (last == name || last == bare || last == it.Key)
}

// controlsLocked returns the controls for an item; nil if there are too many servers. It requires
// that mu is held.
func (v *Verifier) controlsLocked(it item.Item) *controls {
	key := it.Method + " " + nethttp.OriginOf(it.URL)
	c := v.controls[key]
	if c == nil && len(v.controls) < maxServers {
		if v.controls == nil {
			v.controls = make(map[string]*controls)
		}
		c = new(controls)
		v.controls[key] = c
	}
	return c
}

// Delivered records an item that was accepted and whose URL is its own. A few for each server and
// method are remembered, each with the header that it is asked for with.
func (v *Verifier) Delivered(it item.Item, header func() http.Header) {
	if !nethttp.SharesURL(it.Method) || it.Size == 0 {
		return // an empty answer would prove nothing
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if c := v.controlsLocked(it); c != nil && !c.kept && len(c.items) < maxControls {
		c.items = append(c.items, control{it, header()})
	}
}

// Check asks the server what it has at an item's URL: by HEAD, and where that shows nothing, or
// what is to be made sure of, by GET. The header is that of the item's upload. Nothing is sent to
// any other URL than the item's, and those of items that were [Verifier.Delivered].
//
// The note belongs to the verdict: "its SHA-256" is what the item was recognised by, "the server
// answers 403 Forbidden" is why that is not known. It holds no text of the server's. The error is
// ctx's cause, a [*NoAnswerError], or says that the content cannot be read or has changed.
//
// The item's size and time are those of what was sent. An [Absent] item is one to send again: so
// nothing at the URL counts only if Settle has passed since the attempt ended, and for POST and
// PATCH, which may put things anywhere, only if an item that was Delivered is found at its own URL.
// Until Settle has passed, the caller asks again later if it gets [CannotTell].
func (v *Verifier) Check(
	ctx context.Context, it item.Item, header http.Header, want Known,
) (verdict Verdict, note string, err error) {
	shares := nethttp.SharesURL(it.Method)
	f, err := v.find(ctx, it, header, &want)
	switch {
	case err != nil:
		return CannotTell, "", err
	case f.Verdict == There && it.Size == 0 && shares && !v.keeps(ctx, it):
		return CannotTell, "an empty answer is all there is to compare", nil
	case f.Verdict == There && it.Size > 0 && shares:
		v.proven(it)
		return There, f.note, nil
	case f.Verdict != Absent:
		return f.Verdict, f.note, nil
	case time.Since(want.Ended) < v.Settle:
		return CannotTell, "nothing is there yet, and the server may still be at work on it", nil
	case shares && !v.keeps(ctx, it):
		return CannotTell, fmt.Sprintf("nothing is there, "+
			"but the server may keep what it gets by %s at another URL", it.Method), nil
	}
	return Absent, f.note, nil
}

// proven records that an item's server has kept one at its URL.
func (v *Verifier) proven(it item.Item) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if c := v.controlsLocked(it); c != nil {
		c.kept, c.items = true, nil
	}
}

// keeps reports whether the item's server is known to keep items at their URLs.
func (v *Verifier) keeps(ctx context.Context, it item.Item) bool {
	v.mu.Lock()
	var known controls
	if c := v.controlsLocked(it); c != nil {
		known = *c
	}
	v.mu.Unlock()
	for _, c := range known.items {
		if f, err := v.find(ctx, c.item, c.header, &Known{}); err == nil && f.Verdict == There {
			v.proven(it)
			return true
		}
	}
	return known.kept
}
