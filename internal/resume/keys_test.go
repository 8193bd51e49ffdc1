package resume

import (
	"errors"
	"net/http"
	"regexp"
	"testing"
	"time"

	"github.com/dunglas/httpsfv"

	"github.com/penstock/penstock/internal/item"
)

func TestIdempotencyKey(t *testing.T) {
	at := time.Date(2024, 1, 2, 3, 4, 5, 6, time.UTC)
	base := makeKey(Identity{1}, 5, at, nil)
	uuid := regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-` +
		`[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	if !uuid.MatchString(base) {
		t.Errorf("%s is no UUID of version 8", base)
	}
	if again := makeKey(Identity{1}, 5, at.In(time.FixedZone("", 3600)), nil); again != base {
		t.Errorf("%s in another zone, %s", again, base)
	}
	sum := make([]byte, 32)
	digest := makeKey(Identity{1}, 5, at, sum)
	if touched := makeKey(Identity{1}, 5, at.Add(1), sum); touched != digest {
		t.Errorf("touched, %s, was %s", touched, digest)
	}
	seen := map[string]string{base: "base"}
	for name, key := range map[string]string{
		"identity": makeKey(Identity{2}, 5, at, nil),
		"size":     makeKey(Identity{1}, 6, at, nil),
		"time":     makeKey(Identity{1}, 5, at.Add(1), nil),
		"no time":  makeKey(Identity{1}, 5, time.Time{}, nil),
		"far":      makeKey(Identity{1}, 5, at.AddDate(1<<20, 0, 0), nil),
		"past":     makeKey(Identity{1}, 5, at.AddDate(-1<<20, 0, 0), nil),
		"digest":   digest,
		"another":  makeKey(Identity{1}, 5, at, append(sum[:31:31], 1)),
	} {
		if other, ok := seen[key]; ok {
			t.Errorf("%s and %s have one key", name, other)
		}
		seen[key] = name
	}
}

var (
	ownKey    = regexp.MustCompile(`^own-[0-9a-f]{8}$`)
	ownQuoted = regexp.MustCompile(`^"own-[0-9a-f]{8}"$`)
)

// A key is the item's own, followed by a hash where the server may know that otherwise, or the one
// that an earlier run began with, or one of this content of it.
func TestKey(t *testing.T) {
	k, now := Idempotency{Header: "Idempotency-Key"}, time.Unix(2e9, 0)
	key := func(words string, past Past) string {
		it := of(t, words)
		return k.Key(it, IdentityOf(it), past, nil)
	}
	if got := key("POST / x key=own", Past{Attempts: 1, Doubt: true}); got != "own" {
		t.Errorf("%s instead of its own", got)
	}
	own := map[string]bool{"own": true}
	for _, words := range []string{"POST / x key=own", "POST / x key=own rest=1"} {
		for _, past := range []Past{{Older: true}, {KeyEpoch: now}, {KeyEpoch: now.Add(1e9)}} {
			got := key(words, past)
			if own[got] || !ownKey.MatchString(got) || got != key(words, past) {
				t.Errorf("%s, %+v: %s", words, past, got)
			}
			own[got] = true
		}
	}
	quotes := item.Item{Key: `"own"`, Method: "POST"}
	if got := k.Key(quotes, Identity{}, Past{Older: true}, nil); !ownQuoted.MatchString(got) {
		t.Errorf("%s of a key in quotes", got)
	}
	if got := key("POST / x", Past{Key: "earlier", KeyEpoch: now}); got != "earlier" {
		t.Errorf("%s instead of the one before", got)
	}
	none := Idempotency{}
	for _, words := range []string{"POST / x", "POST / x key=own"} {
		if got := none.Key(of(t, words), Identity{}, Past{Key: "earlier"}, nil); got != "" {
			t.Errorf("%s, and none is wanted", got)
		}
	}
	seen := map[string]string{}
	for _, words := range []string{"POST /", "POST / rest=1", "POST / rest=2", "POST / A:b",
		"PUT /", "PUT / x A:b", "PUT / x A:c"} {
		for _, epoch := range []time.Time{{}, now, now.Add(time.Second)} {
			made := key(words, Past{KeyEpoch: epoch})
			if other, ok := seen[made]; ok {
				t.Errorf("%s and %s have one key", words, other)
			}
			seen[made] = words
		}
	}
	if key("PUT / x A:b", Past{}) != key("PUT / x A:b X-Api-Key:1", Past{}) {
		t.Error("a credential makes another key")
	}
}

func TestKeyInItsHeader(t *testing.T) {
	set := func(k Idempotency, key string) (string, error) {
		h := make(http.Header)
		err := k.Set(h, key)
		return h.Get("Idempotency-Key"), err
	}
	quoted := Idempotency{Header: "Idempotency-Key"}
	bare := Idempotency{Header: "Idempotency-Key", Bare: true}
	for key, want := range map[string]string{
		"":                                     `""`,
		"8e03978e-40d5-43e8-bc93-6894a57f9324": `"8e03978e-40d5-43e8-bc93-6894a57f9324"`,
		`a "b" \c`:                             `"a \"b\" \\c"`,
		" ~":                                   `" ~"`,
	} {
		got, err := set(quoted, key)
		if got != want || err != nil {
			t.Errorf("%q: %s, %v", key, got, err)
		}
		if item, err := httpsfv.UnmarshalItem([]string{got}); err != nil || item.Value != key {
			t.Errorf("%q comes back as %v, %v", key, item.Value, err)
		}
		if got, err := set(bare, key); got != key || err != nil {
			t.Errorf("bare %q: %q, %v", key, got, err)
		}
		if got, err := set(Idempotency{}, key); got != "" || err != nil {
			t.Errorf("%q is sent as %q: %v", key, got, err)
		}
		if got, err := set(quoted, want); got != want || err != nil {
			t.Errorf("quoted already, %s: %s, %v", want, got, err)
		}
	}
	for _, key := range []string{"schlüssel", "a\tb", "a\nb", "\x7f", "\xff"} {
		got, err := set(quoted, key)
		if bad := (*KeyError)(nil); !errors.As(err, &bad) || bad.Key != key || got != "" {
			t.Errorf("%q: %q, %v", key, got, err)
		}
		if got, err := set(bare, key); got != key || err != nil {
			t.Errorf("bare %q: %q, %v", key, got, err)
		}
	}
}
