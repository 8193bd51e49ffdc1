package lab

import "crypto/sha256"

var keysParam = Param{"keys", "ignore",
	"ignore or honour: an Idempotency-Key that was accepted gets 201 again and stores nothing, " +
		"or 409 while it is worked on"}

// stamp is an idempotency key that came with a name. One set for all names is smaller than a set in
// each.
type stamp struct{ name, key string }

// A claim is how a key stands when a request with it is to be worked on.
type claim int

const (
	keyClaimed  claim = iota // by this request
	keyInUse                 // by another one that is worked on
	keyAccepted              // with a body that was stored
)

// claim takes a key for a request whose body is read, until release.
func (l *ledger) claim(s stamp, sum [sha256.Size]byte) claim {
	l.mu.Lock()
	defer l.mu.Unlock()
	if first, ok := l.mu.keys[s]; ok {
		l.mu.stats.Replayed++
		if first != sum {
			l.mu.stats.Reused++
		}
		return keyAccepted
	}
	if _, ok := l.mu.working[s]; ok {
		return keyInUse
	}
	l.mu.working[s] = struct{}{}
	return keyClaimed
}

// release lets go of a claim. What was stored keeps its key.
func (l *ledger) release(s stamp) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.mu.working, s)
}
