package send

import (
	"bytes"
	"cmp"
	"context"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/penstock/penstock/internal/digest"
	"github.com/penstock/penstock/internal/human"
	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/internal/reply"

	"github.com/penstock/penstock/internal/nethttp"
	"github.com/penstock/penstock/throttle"
)

// A verdict says what a server has at an item's URL.
type verdict uint8

const (
	cannotTell verdict = iota // nothing follows: the item stays what it was
	there                     // the item is
	absent                    // nothing is, so that sending is no second time
	other                     // something else is: an older version, or a page for all URLs
)

func (v verdict) String() string { return [...]string{"cannot tell", "there", "absent", "other"}[v] }

const (
	askTimeout = time.Minute
	// slowestAnswer is how many bytes a second a file must come back with.
	slowestAnswer = 1 << 20
	// dateSlack is what a server's own times may differ by.
	dateSlack = 2 * time.Second
)

// A verifier asks servers whether items have arrived. It is safe for concurrent
// use.
type verifier struct {
	client *http.Client // whose transport paces; its rules for redirects do not count

	// timeout is the longest for one answer, waiting for its turn not counted, and
	// a second more for each MiB where the file itself comes back. 0: a minute.
	timeout time.Duration

	// settle is how long after an attempt a server may still be at work on it. A
	// gateway that answers 504 has given up waiting, what is behind it has not:
	// that nothing is there counts only later. Thirty seconds, or twice the
	// attempt's timeout if that is more, is a good choice.
	settle time.Duration

	keyHeader string // of idempotency keys, where it is another than the usual: a server may take what has a key for work

	mu       sync.Mutex
	controls map[string]*controls // by method and server
}

// A control is an item that arrived for certain.
type control struct {
	item   item.Item
	header http.Header
}

// maxControls are remembered of each server and method: something may have fetched one from there since.
const maxControls = 4

// Controls of one server. Where one of them is found at its URL, a server that need not keep things there does so.
type controls struct {
	items []control
	kept  bool // known
}

// An expectation is what is known of an item beside its size.
type expectation struct {
	digest []byte    // SHA-256; if nil, the file is read, if the server tells anything to compare it with
	began  time.Time // when it was first sent; if zero, not known
	ended  time.Time // when the last attempt ended; if zero, long ago
}

// verifiable reports whether an item's URL is its own, so that what is there tells
// of this item. PUT says so by itself. A POST's URL is its own if it was made of
// a template with a variable, which several denies, or ends in the file's name or
// the item's key.
func verifiable(it item.Item, several bool) bool {
	if !nethttp.SharesURL(it.Method) || !several {
		return true
	}
	u, err := url.Parse(it.URL)
	if err != nil {
		return false
	}
	last := u.Path[strings.LastIndexByte(u.Path, '/')+1:]
	name := filepath.Base(it.Path)
	return last != "" && (last == name || last == strings.TrimSuffix(name, filepath.Ext(name)) || last == it.Key)
}

// CheckVerify returns an error if Verify is set and the server can be asked about no item.
func (o *Options) CheckVerify() error {
	if !o.Verify || !o.shared() {
		return nil
	}
	n := 0
	if !o.Found.Partial { // standard input is read once
		for it, err := range o.Source.Items() {
			if err != nil {
				continue // it is reported when its turn comes
			}
			if n++; verifiable(it, true) {
				return nil
			}
		}
	}
	if n == 0 && !(o.Found.Partial && nethttp.SharesURL(o.Source.Method())) {
		return nil
	}
	advice := "put {name} or {path} into --to"
	if o.Source.OwnURLs() {
		advice = `let each line's "url" end in the file's name or the "key"`
	}
	return fmt.Errorf("--verify: the server can be asked only about files that have a URL of their own: %s, or leave --verify out", advice)
}

// controlsLocked returns the controls for an item; nil if there are too many servers. It requires that mu is held.
func (v *verifier) controlsLocked(it item.Item) *controls {
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

// delivered records an item that was accepted and whose URL is its own. A few for
// each server and method are remembered, each with the header that it is asked for with.
func (v *verifier) delivered(it item.Item, header func() http.Header) {
	if !nethttp.SharesURL(it.Method) || it.Size == 0 {
		return // an empty answer would prove nothing
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if c := v.controlsLocked(it); c != nil && !c.kept && len(c.items) < maxControls {
		c.items = append(c.items, control{it, header()})
	}
}

// check asks the server what it has at an item's URL: by HEAD, and where that
// tells nothing, or what is to be made sure of, by GET. The header is that of the
// item's upload. Nothing is sent to any other URL than the item's.
//
// The note belongs to the verdict: "its SHA-256" is what the item was recognised
// by, "the server answers 403 Forbidden" is why nobody can tell. It holds no text
// of the server's. The error is ctx's cause, or says that the file cannot be read
// or has changed.
//
// The item's size and time are those of what was sent. An absent item is one to
// send again: so nothing at the URL counts only if [verifier.settle] has passed
// since the attempt ended, and for POST and PATCH, which may put things anywhere, only
// if an item that was [verifier.delivered] is found at its own URL. Until
// settle has passed, the caller asks again later if it gets cannotTell.
func (v *verifier) check(ctx context.Context, it item.Item, header http.Header, want expectation) (verdict, string, error) {
	f, err := v.find(ctx, it, header, &want)
	switch {
	case err != nil:
		return cannotTell, "", err
	case f.verdict == there && it.Size == 0 && nethttp.SharesURL(it.Method) && !v.keeps(ctx, it):
		return cannotTell, "an empty answer is all there is to compare", nil
	case f.verdict == there && it.Size > 0 && nethttp.SharesURL(it.Method):
		v.proven(it)
		return there, f.note, nil
	case f.verdict != absent:
		return f.verdict, f.note, nil
	case time.Since(want.ended) < v.settle:
		return cannotTell, "nothing is there yet, and the server may still be at work on it", nil
	case nethttp.SharesURL(it.Method) && !v.keeps(ctx, it):
		return cannotTell, fmt.Sprintf("nothing is there, but the server may keep what it gets by %s at another URL", it.Method), nil
	}
	return absent, f.note, nil
}

// proven records that an item's server has kept one at its URL.
func (v *verifier) proven(it item.Item) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if c := v.controlsLocked(it); c != nil {
		c.kept, c.items = true, nil
	}
}

// keeps reports whether the item's server is known to keep items at their URLs.
func (v *verifier) keeps(ctx context.Context, it item.Item) bool {
	v.mu.Lock()
	var known controls
	if c := v.controlsLocked(it); c != nil {
		known = *c
	}
	v.mu.Unlock()
	for _, c := range known.items {
		if f, err := v.find(ctx, c.item, c.header, &expectation{}); err == nil && f.verdict == there {
			v.proven(it)
			return true
		}
	}
	return known.kept
}

// A finding is what one request found.
type finding struct {
	verdict
	note string
	more bool // GET may tell more than HEAD did
}

func (v *verifier) find(ctx context.Context, it item.Item, header http.Header, want *expectation) (finding, error) {
	f, err := v.ask(ctx, http.MethodHead, it, header, want)
	if err == nil && f.more {
		f, err = v.ask(ctx, http.MethodGet, it, header, want)
	}
	return f, err
}

var errNoAnswer = errors.New("no answer in time")

func (v *verifier) ask(ctx context.Context, method string, it item.Item, header http.Header, want *expectation) (finding, error) {
	limit := cmp.Or(v.timeout, askTimeout)
	if method == http.MethodGet {
		limit += time.Duration(it.Size/slowestAnswer) * time.Second
	}
	asking, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	// The time runs from when there is a connection: before, a request waits for its turn.
	start := sync.OnceValue(func() *time.Timer { return time.AfterFunc(limit, func() { cancel(errNoAnswer) }) })
	defer func() { start().Stop() }()
	trace := &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { start() }}
	req, err := http.NewRequestWithContext(httptrace.WithClientTrace(asking, trace), method, it.URL, nil)
	if err != nil {
		return finding{note: "its URL cannot be asked"}, nil
	}
	req.Header = askHeader(header)
	req.Header.Del(v.keyHeader)
	client := *v.client
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	resp, err := client.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return finding{}, context.Cause(ctx)
		}
		return finding{note: unanswered(asking, err)}, nil
	}
	start()
	if resp.StatusCode != http.StatusOK {
		reply.Read(resp)
		return judgeRefusal(resp), nil
	}
	defer resp.Body.Close()
	f, err := weigh(ctx, resp, it, want)
	if err == nil && f.more && method == http.MethodGet {
		f, err = read(asking, resp.Body, it, want)
	}
	if ctx.Err() != nil {
		return finding{}, context.Cause(ctx)
	}
	return f, err
}

// askHeader returns the header to ask with: the upload's without what speaks of
// its body or sets conditions.
func askHeader(upload http.Header) http.Header {
	h := make(http.Header, len(upload)+3)
	for name, values := range upload {
		switch {
		case strings.HasPrefix(name, "Content-"), strings.HasPrefix(name, "If-"):
		case name == "Idempotency-Key", name == "Expect", name == "Range", name == "Digest", name == "Repr-Digest":
		default:
			h[name] = values
		}
	}
	h.Set("Accept-Encoding", "identity")
	h.Set("Cache-Control", "no-cache") // a cache may know no more than that nothing was there
	h.Set("Want-Repr-Digest", "sha-256=10, sha-512=3")
	return h
}

// unanswered says why there is no answer.
func unanswered(asking context.Context, err error) string {
	var paused *throttle.PausedError
	var stopped *throttle.StopError
	switch {
	case context.Cause(asking) == errNoAnswer, errors.Is(err, context.DeadlineExceeded):
		return errNoAnswer.Error()
	case errors.As(err, &paused):
		return "the server asked us to wait"
	case errors.As(err, &stopped):
		return "the run ended before it was asked"
	}
	return cmp.Or(troubleOf(throttle.Event{Err: err, Outcome: throttle.Overloaded}), "no answer")
}

// judgeRefusal reads an answer other than 200. That HEAD finds nothing is made
// sure of: some servers know GET only, and answer all else with 404.
func judgeRefusal(resp *http.Response) finding {
	head := resp.Request.Method == http.MethodHead
	switch s := resp.StatusCode; {
	case s == http.StatusNotFound, s == http.StatusGone:
		return finding{verdict: absent, note: "nothing is there", more: head}
	case s >= 300 && s <= 399:
		return finding{note: fmt.Sprintf("the server answers %d, a redirect, which is not followed", s)}
	default:
		more := head && (s == http.StatusMethodNotAllowed || s == http.StatusNotImplemented)
		return finding{note: strings.TrimSpace(fmt.Sprintf("the server answers %d %s", s, http.StatusText(s))), more: more}
	}
}

// weigh compares what the head of a 200 tells with the file, strongest first. Its
// error is about the file.
func weigh(ctx context.Context, resp *http.Response, it item.Item, want *expectation) (finding, error) {
	head := resp.Request.Method == http.MethodHead
	if coding := resp.Header.Get("Content-Encoding"); resp.Uncompressed || coding != "" && !strings.EqualFold(coding, "identity") {
		return finding{note: "the server answers with compressed content"}, nil
	}
	length := resp.ContentLength
	if head && length == 0 {
		length = -1 // many a program answers HEAD so, whatever it has
	}
	if length >= 0 && length != it.Size {
		return finding{verdict: other, note: fmt.Sprintf("the server's copy has %s, the file %s", byteCount(length), byteCount(it.Size))}, nil
	}
	for _, kind := range []kind{kindSHA256, kindSHA512} {
		for _, field := range []string{"Repr-Digest", "Content-Digest"} {
			told := digest.In(resp.Header, field, kind.member)
			if len(told) != kind.size {
				continue
			}
			own, err := kind.of(ctx, it, want)
			if err != nil {
				return finding{}, err
			}
			switch {
			case bytes.Equal(told, own) && (it.Size > 0 || field == "Repr-Digest"):
				return finding{verdict: there, note: "its " + kind.name}, nil
			case head && field == "Content-Digest": // by the RFC, of the content that an answer to HEAD has not
			case !bytes.Equal(told, own):
				return finding{verdict: other, note: "the server's copy has another " + kind.name}, nil
			}
		}
	}
	unlike := false
	if told, kind := hashInETag(resp.Header.Get("Etag")); told != nil {
		own, err := kind.of(ctx, it, want)
		if err != nil {
			return finding{}, err
		}
		if bytes.Equal(told, own) {
			return finding{verdict: there, note: "its " + kind.name}, nil
		}
		unlike = true // or the tag is no hash of the content, which nobody promised
	}
	if !head || length < 0 || unlike || !fresh(resp.Header, want.began) {
		return finding{note: "the server tells nothing that could be compared", more: true}, nil
	}
	return finding{verdict: there, note: "its length and date"}, nil
}

// fresh reports whether the server says that what it has was written since began. Of
// an older version of equal length a length tells nothing.
func fresh(h http.Header, began time.Time) bool {
	modified, err := http.ParseTime(h.Get("Last-Modified"))
	if err != nil || began.IsZero() {
		return false
	}
	now, err := http.ParseTime(h.Get("Date"))
	if err != nil {
		now = time.Now()
	}
	return now.Sub(modified) <= time.Since(began)+dateSlack
}

// read compares the content itself. Its error is about the file.
func read(ctx context.Context, body io.Reader, it item.Item, want *expectation) (finding, error) {
	h := sha256.New()
	n, err := digest.Read(ctx, h, io.LimitReader(body, it.Size+1))
	switch {
	case err != nil && context.Cause(ctx) == errNoAnswer:
		return finding{note: "the server's answer took too long"}, nil
	case err != nil:
		return finding{note: "the server's answer was cut off"}, nil
	case n > it.Size:
		return finding{verdict: other, note: "the server's copy is longer than the file"}, nil
	case n < it.Size:
		return finding{verdict: other, note: fmt.Sprintf("the server's copy has %s, the file %s", byteCount(n), byteCount(it.Size))}, nil
	case n == 0:
		return finding{verdict: there, note: "its length, 0 bytes"}, nil
	}
	own, err := kindSHA256.of(ctx, it, want)
	switch {
	case err != nil:
		return finding{}, err
	case !bytes.Equal(h.Sum(nil), own):
		return finding{verdict: other, note: "the server's copy has another SHA-256"}, nil
	}
	return finding{verdict: there, note: "its SHA-256"}, nil
}

// A kind of hash.
type kind struct {
	name, member string // as people and as RFC 9530 call it
	size         int
	new          func() hash.Hash
}

var (
	kindMD5    = kind{"MD5", "", md5.Size, md5.New}
	kindSHA1   = kind{"SHA-1", "", sha1.Size, sha1.New}
	kindSHA256 = kind{"SHA-256", "sha-256", sha256.Size, sha256.New}
	kindSHA512 = kind{"SHA-512", "sha-512", sha512.Size, sha512.New}
)

// of returns the hash of an item's file, and keeps the SHA-256.
func (k kind) of(ctx context.Context, it item.Item, want *expectation) ([]byte, error) {
	if k.size == sha256.Size && want.digest != nil {
		return want.digest, nil
	}
	h := k.new()
	if err := digest.Hash(ctx, h, func() (io.ReadCloser, error) { return it.Open(ctx) }); err != nil {
		return nil, err
	}
	sum := h.Sum(nil)
	if k.size == sha256.Size {
		want.digest = sum
	}
	return sum, nil
}

// hashInETag returns the hash that a strong ETag may be, by its length; nil if
// none. That of S3 for what came in parts is none.
func hashInETag(etag string) ([]byte, kind) {
	told, err := hex.DecodeString(strings.Trim(etag, `"`))
	if err != nil {
		return nil, kind{}
	}
	for _, k := range []kind{kindMD5, kindSHA1, kindSHA256, kindSHA512} {
		if len(told) == k.size {
			return told, k
		}
	}
	return nil, kind{}
}

func byteCount(n int64) string {
	if n == 1 {
		return "1 byte"
	}
	return human.Count(n) + " bytes"
}
