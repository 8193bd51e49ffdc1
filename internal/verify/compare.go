package verify

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/penstock/penstock/internal/digest"
	"github.com/penstock/penstock/internal/human"
	"github.com/penstock/penstock/internal/item"
)

// judgeRefusal reads an answer other than 200. That HEAD finds nothing is made sure of: some
// servers know GET only, and answer all else with 404.
func judgeRefusal(resp *http.Response) finding {
	head := resp.Request.Method == http.MethodHead
	switch s := resp.StatusCode; {
	case s == http.StatusNotFound, s == http.StatusGone:
		return finding{Verdict: Absent, note: "nothing is there", more: head}
	case s >= 300 && s <= 399:
		note := fmt.Sprintf("the server answers %d, a redirect, which is not followed", s)
		return finding{note: note}
	default:
		more := head && (s == http.StatusMethodNotAllowed || s == http.StatusNotImplemented)
		note := strings.TrimSpace(fmt.Sprintf("the server answers %d %s", s, http.StatusText(s)))
		return finding{note: note, more: more}
	}
}

// weigh compares what the head of a 200 states with the content, strongest first. Its error is
// about the content.
func weigh(
	ctx context.Context, resp *http.Response, it item.Item, want *Known,
) (finding, error) {
	head := resp.Request.Method == http.MethodHead
	coding := resp.Header.Get("Content-Encoding")
	if resp.Uncompressed || coding != "" && !strings.EqualFold(coding, "identity") {
		return finding{note: "the server answers with compressed content"}, nil
	}
	length := resp.ContentLength
	if head && length == 0 {
		length = -1 // many a program answers HEAD so, whatever it has
	}
	if length >= 0 && length != it.Size {
		return anotherLength(length, it), nil
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
				return finding{Verdict: There, note: "its " + kind.name}, nil
			case head && field == "Content-Digest":
				// By the RFC it is of the content, which an answer to HEAD does not have.
			case !bytes.Equal(told, own):
				return anotherHash(kind), nil
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
			return finding{Verdict: There, note: "its " + kind.name}, nil
		}
		unlike = true // or the tag is no hash of the content, which is not promised
	}
	if !head || length < 0 || unlike || want.Older || !fresh(resp.Header, want.Began) {
		return finding{note: "the server states nothing that could be compared", more: true}, nil
	}
	return finding{Verdict: There, note: "its length and date"}, nil
}

// dateSlack is what a server's own times may differ by.
const dateSlack = 2 * time.Second

// fresh reports whether the server says that what it has was written since began. Of an older
// version of equal length a length proves nothing.
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

func anotherHash(k kind) finding {
	return finding{Verdict: Other, note: "the server's copy has another " + k.name}
}

func anotherLength(n int64, it item.Item) finding {
	note := "the server's copy has " + human.Plural(n, "byte") +
		", the file " + human.Plural(it.Size, "byte")
	return finding{Verdict: Other, note: note}
}

// read compares the content itself. Its error is about the item's.
func read(ctx context.Context, body io.Reader, it item.Item, want *Known) (finding, error) {
	h := sha256.New()
	n, err := digest.Read(ctx, h, io.LimitReader(body, it.Size+1))
	switch {
	case err != nil && context.Cause(ctx) == errNoAnswer:
		return finding{note: "the server's answer took too long"}, nil
	case err != nil:
		return finding{note: "the server's answer was cut off"}, nil
	case n > it.Size:
		return finding{Verdict: Other, note: "the server's copy is longer than the file"}, nil
	case n < it.Size:
		return anotherLength(n, it), nil
	case n == 0:
		return finding{Verdict: There, note: "its length, 0 bytes"}, nil
	}
	own, err := kindSHA256.of(ctx, it, want)
	switch {
	case err != nil:
		return finding{}, err
	case !bytes.Equal(h.Sum(nil), own):
		return anotherHash(kindSHA256), nil
	}
	return finding{Verdict: There, note: "its SHA-256"}, nil
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

// of returns the hash of an item's content, and keeps the SHA-256.
func (k kind) of(ctx context.Context, it item.Item, want *Known) ([]byte, error) {
	if k.size == sha256.Size && want.SHA256 != nil {
		return want.SHA256, nil
	}
	h := k.new()
	open := func() (io.ReadCloser, error) { return it.Open(ctx) }
	if err := digest.Hash(ctx, h, open); err != nil {
		return nil, err
	}
	sum := h.Sum(nil)
	if k.size == sha256.Size {
		want.SHA256 = sum
	}
	return sum, nil
}

// hashInETag returns the hash that a strong ETag may be, by its length; nil if none. That of S3 for
// what came in parts is none.
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
