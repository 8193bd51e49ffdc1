package lab

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"net/http"

	"github.com/dunglas/httpsfv"
)

const contentDigest = "Content-Digest"

// digestHolds reports whether a body of that SHA-256 is what its Content-Digest says (RFC 9530), if
// it has one. Of the algorithms it knows sha-256 alone; a field that cannot be read does not hold.
func digestHolds(h http.Header, sum [sha256.Size]byte) bool {
	fields := h[contentDigest]
	if len(fields) == 0 {
		return true
	}
	digests, err := httpsfv.UnmarshalDictionary(fields)
	if err != nil {
		return false
	}
	member, known := digests.Get("sha-256")
	if !known {
		return true
	}
	item, _ := member.(httpsfv.Item)
	want, ok := item.Value.([]byte)
	return ok && bytes.Equal(want, sum[:])
}

// digest is the value of Repr-Digest for that SHA-256.
func digest(sum [sha256.Size]byte) string {
	return "sha-256=:" + base64.StdEncoding.EncodeToString(sum[:]) + ":"
}
