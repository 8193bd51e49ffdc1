package resume

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"net/http"
	"time"

	"github.com/dunglas/httpsfv"

	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/internal/nethttp"
)

// Idempotency says how keys are sent that make repeating safe where the server honours them
// (draft-ietf-httpapi-idempotency-key-header).
type Idempotency struct {
	Header   string        // its name; empty: no key is sent
	Bare     bool          // the key as it is, not as a quoted string
	Lifetime time.Duration // that the server remembers a key for
}

// keySlack is how far a clock may have been set back without making the age of a key unknown.
const keySlack = 5 * time.Minute

// Repeatable reports whether it does no harm if an item of a method is processed twice.
func (k Idempotency) Repeatable(method string) bool {
	return nethttp.Idempotent(method) || k.Header != ""
}

// Forgotten reports whether the server may have forgotten the key that an item was first sent with,
// at first, or it is not known whether it has. The run before ended at last; if zero, there was
// none.
func (k Idempotency) Forgotten(method string, first, last, now time.Time) bool {
	if k.Header == "" || nethttp.Idempotent(method) {
		return false
	}
	if last.Sub(now) > keySlack {
		return true // the clock was set back
	}
	age := now.Sub(first)
	return age > k.Lifetime || age < -keySlack
}

// Key returns the key that an item is sent with: the one that an earlier attempt began with, its
// own, or one that is made for its content, whose SHA-256 is digest where that is known. Where the
// server may know the item's own key with another content or by a refusal, which it would answer as
// it did then, the start of the key that would be made follows that.
func (k Idempotency) Key(it item.Item, id Identity, past Past, digest []byte) string {
	switch {
	case k.Header == "":
		return ""
	case past.Key != "":
		return past.Key
	case it.Key != "" && !past.Older && past.KeyEpoch.IsZero():
		return it.Key
	}
	if line := lineOf(it); line != nil {
		id = sha256.Sum256(append(id[:], line...))
	}
	if !past.KeyEpoch.IsZero() {
		id = sha256.Sum256(binary.AppendVarint(id[:], past.KeyEpoch.UnixMilli()))
	}
	if it.Rest != 0 {
		id = sha256.Sum256(binary.BigEndian.AppendUint64(id[:], it.Rest))
	}
	made := makeKey(id, it.Size, it.ModTime, digest)
	if it.Key == "" {
		return made
	}
	const short = 8
	if !k.Bare && isQuoted(it.Key) {
		return it.Key[:len(it.Key)-1] + "-" + made[:short] + `"`
	}
	return it.Key + "-" + made[:short]
}

// isQuoted reports whether somebody has put a key in quotes already.
func isQuoted(key string) bool {
	n := len(key)
	return n >= 2 && key[0] == '"' && key[n-1] == '"'
}

// makeKey makes the key of an item with a given content: the SHA-256 in digest where it is known,
// else by size and time of change. It is a UUID of version 8, the same at each attempt, after a
// restart and on another machine where the file has the same path, and another one once the content
// is another.
//
// With and without a digest the keys differ, so a key that the journal has for the same fingerprint
// is the one to use.
func makeKey(id Identity, size int64, modTime time.Time, digest []byte) string {
	b := make([]byte, 0, 128)
	b = append(b, id[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(size))
	if len(digest) > 0 {
		b = append(b, 'd')
		b = append(b, digest...)
	} else {
		b = append(b, 't')
		// UnixNano does not reach all times.
		b = binary.BigEndian.AppendUint64(b, uint64(modTime.Unix()))
		b = binary.BigEndian.AppendUint32(b, uint32(modTime.Nanosecond()))
	}
	return uuid8(sha256.Sum256(b))
}

// uuid8 makes a UUID of version 8 of a hash.
func uuid8(u [sha256.Size]byte) string {
	u[6] = u[6]&0x0f | 8<<4 // version, RFC 9562
	u[8] = u[8]&0x3f | 2<<6 // variant
	return fmt.Sprintf("%x-%x-%x-%x-%x", u[:4], u[4:6], u[6:8], u[8:10], u[10:16])
}

// A KeyError says that a key cannot be sent as a string of RFC 8941, which is ASCII. Only one that
// an item was given can be such.
type KeyError struct{ Key string }

func (e *KeyError) Error() string {
	return fmt.Sprintf("the key %q cannot be sent in quotes, which take ASCII only", e.Key)
}

// Set gives the headers of a request a key, as a string of RFC 8941, in quotes, or bare. It fails
// with a [*KeyError].
func (k Idempotency) Set(h http.Header, key string) error {
	switch {
	case k.Header == "":
	case k.Bare, isQuoted(key):
		h.Set(k.Header, key)
	default:
		quoted, err := httpsfv.Marshal(httpsfv.NewItem(key))
		if err != nil {
			return &KeyError{key}
		}
		h.Set(k.Header, quoted)
	}
	return nil
}
