package lab

import "net/http"

// keep stores a body that was read, unless there is a reason not to.
func (x *exchange) keep() {
	if x.admit() {
		x.store()
	}
}

// admit reports whether the body is to be worked on and stored. If not, the verdict is there.
func (x *exchange) admit() bool {
	x.stamp = stamp{Name(x.r.URL), x.r.Header.Get("Idempotency-Key")}
	if !digestHolds(x.r.Header, x.whole) {
		x.ledger.count(&x.ledger.mu.stats.BadDigest)
		x.verdict = http.StatusBadRequest
		return false
	}
	if !x.honour || x.stamp.key == "" {
		return true
	}
	switch x.ledger.claim(x.stamp, x.sum) {
	case keyInUse:
		x.verdict = http.StatusConflict
	case keyAccepted:
		x.w.Header().Set("Idempotency-Replayed", "true")
		x.verdict = http.StatusCreated
	case keyClaimed:
		x.claimed = true
	}
	return x.claimed
}

// store makes a body that was admitted accepted, whatever becomes of the answer.
func (x *exchange) store() {
	onlyNew := x.r.Method == http.MethodPut && x.r.Header.Get("If-None-Match") == "*"
	x.stored = x.ledger.accept(x.stamp, onlyNew, x.size, x.sum)
	x.verdict = http.StatusCreated
	if !x.stored {
		x.verdict = http.StatusPreconditionFailed
	}
}
