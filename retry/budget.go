package retry

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"
)

// Budget bounds how many retries many calls make together: after n calls and s seconds at most
//
//	Burst + Ratio·n + PerSecond·s
//
// retries have begun, and at most Burst of them were saved up. When it is empty a retry waits for
// its turn; none is dropped. That includes those that begin at once, and those that net/http makes
// by itself where the request may have been processed. Put the same Budget into every [Policy] that
// sends to one server. The zero value has the defaults below: at worst a tenth more requests than
// calls, and enough for a few calls that fail together. A Budget must not be copied after first
// use; its methods are safe for concurrent use, its fields must not be changed.
type Budget struct {
	Ratio     float64 // retries earned by each call; if zero, 0.1
	PerSecond float64 // retries earned by time alone, so that few calls are not starved; if zero, 1
	Burst     float64 // retries that can be saved up, at least 1; if zero, 10

	mu struct {
		sync.Mutex
		started bool
		tokens  float64   // if negative, so many retries wait for their turn
		at      time.Time // when tokens was right
	}
}

// validate names every field that cannot be used.
func (b *Budget) validate() error {
	var errs []error
	for _, f := range [...]struct {
		name       string
		value, min float64
	}{{"Ratio", b.Ratio, 0}, {"PerSecond", b.PerSecond, 0}, {"Burst", b.Burst, 1}} {
		if f.value != 0 && !(f.value >= f.min && f.value <= math.MaxFloat64) {
			errs = append(errs, fmt.Errorf("retry: Budget.%s is %v: use at least %v, or 0 for the default",
				f.name, f.value, f.min))
		}
	}
	return errors.Join(errs...)
}

// earn is called once for each call. Like put and take it does nothing if b is nil.
func (b *Budget) earn() {
	if b != nil {
		b.add(time.Now(), cmp.Or(b.Ratio, 0.1))
	}
}

// put returns the token of a retry that was not made.
func (b *Budget) put() { b.add(time.Now(), 1) }

// take pays for one retry and returns how long it has to wait until it is paid for. A wait is fixed
// once it is returned; what is earned meanwhile shortens the next ones.
func (b *Budget) take(now time.Time) time.Duration {
	tokens := b.add(now, -1)
	if tokens >= 0 {
		return 0
	}
	wait := -tokens / cmp.Or(b.PerSecond, 1) * float64(time.Second)
	if wait >= math.MaxInt64 {
		return math.MaxInt64
	}
	return time.Duration(math.Ceil(wait))
}

// payer pays for one retry that begins at once.
type payer struct{ *Budget }

// Pay reports whether it could.
func (b payer) Pay(now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.addLocked(now, 0) >= 1 && b.addLocked(now, -1) >= 0
}

// add brings the account up to now, adds n and returns it.
func (b *Budget) add(now time.Time, n float64) float64 {
	if b == nil {
		return 0
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.addLocked(now, n)
}

func (b *Budget) addLocked(now time.Time, n float64) float64 {
	burst := cmp.Or(b.Burst, 10)
	if !b.mu.started {
		b.mu.started, b.mu.tokens, b.mu.at = true, burst, now
	}
	if passed := now.Sub(b.mu.at); passed > 0 { // callers may be late
		b.mu.tokens = min(burst, b.mu.tokens+passed.Seconds()*cmp.Or(b.PerSecond, 1))
		b.mu.at = now
	}
	b.mu.tokens = min(burst, b.mu.tokens+n)
	return b.mu.tokens
}
