package quota

import (
	"context"
	"crypto/rand"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/time/rate"

	"github.com/penstock/penstock/internal/suspend"
)

// Scripts, each of them after what all have in common.
var (
	//go:embed lua/prelude.lua
	prelude string
	//go:embed lua/open.lua
	openLua string
	//go:embed lua/reserve.lua
	reserveLua string
	//go:embed lua/beat.lua
	beatLua string
	//go:embed lua/set.lua
	setLua string
	//go:embed lua/pause.lua
	pauseLua string
	//go:embed lua/leave.lua
	leaveLua string
	//go:embed lua/show.lua
	showLua string
	//go:embed lua/found.lua
	foundLua string

	openScript    = redis.NewScript(prelude + openLua)
	reserveScript = redis.NewScript(prelude + reserveLua)
	beatScript    = redis.NewScript(prelude + beatLua)
	setScript     = redis.NewScript(prelude + setLua)
	pauseScript   = redis.NewScript(prelude + pauseLua)
	leaveScript   = redis.NewScript(prelude + leaveLua)
	showScript    = redis.NewScript(prelude + showLua)
	foundScript   = redis.NewScript(prelude + foundLua)
)

// callTimeout bounds a call: slots are granted some 100 ms ahead.
const callTimeout = 300 * time.Millisecond

// An answer is what a script returned. Instants and lengths are microseconds.
type answer struct {
	view
	received time.Time
	pause    pause
	values   []string // the script's own
}

// A view is what a process knows of the quota.
type view struct {
	epoch    string
	now      int64    // by the server's clock
	hosts    int      // that take part, this one included
	counted  bool     // whether this one ever was
	rank     int      // of this one among them
	pauses   int64    // the version of the pause
	version  int64    // of the settings
	settings Settings // in force
	given    Settings // what processes gave; people may have set others
}

// A pause is one that holds for all processes.
type pause struct {
	until  time.Time
	source string
}

func newID() string {
	var b [8]byte
	rand.Read(b[:]) // it never fails
	return hex.EncodeToString(b[:])
}

// args returns the settings as scripts take them.
func (s Settings) args() []any {
	return []any{float(float64(s.Rate)), s.Burst, s.InFlight}
}

// channel is where news is published.
func (t *target) channel() string { return t.keys[0] + ":news" }

// keyPermits is the place of a key among those that keysOf returns.
const keyPermits = 5

// keysOf returns the keys of a name, which are in one slot of a cluster.
func keysOf(name string) []string {
	base := "{penstock:" + name + "}"
	keys := []string{base}
	for _, part := range []string{
		"heard", "joined", "ends", "hosts", "permits", "hungry", "beats",
	} {
		keys = append(keys, base+":"+part)
	}
	return keys
}

// call runs a script and records what it says. The id is empty if the caller is no host.
func (q *Quota) call(
	ctx context.Context, script *redis.Script, id string, args ...any,
) (*answer, error) {
	sent := time.Now()
	timeout := max(callTimeout, q.target.patience)
	q.mu.Lock()
	v, p := q.mu.view, q.mu.contact.pause
	q.mu.roundTrips++
	slept := suspend.Total()
	knows, estimate := v.hosts, int64(0)
	if !v.counted {
		knows = 0
	}
	if c := &q.mu.contact; !c.offset.base.IsZero() && slept-c.suspended < time.Second {
		estimate = c.offset.remote(sent)
	}
	// Not longer than until this process sends by itself.
	if c := &q.mu.contact; !c.failing.IsZero() && !c.down && !c.last.IsZero() {
		timeout = min(timeout, max(c.patience(sent), beatLeast))
	}
	q.mu.Unlock()
	limited, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	left := max(p.until.Sub(sent), 0)
	all := append([]any{
		id, knows, v.epoch, v.now, estimate, v.pauses, left.Microseconds(), p.source, v.version,
	}, append(v.settings.args(), v.given.args()...)...)
	got, err := script.Run(limited, q.client, q.target.keys, append(all, args...)...).StringSlice()
	received := time.Now()
	// What an answer says counts from when it was given.
	if err == nil && (received.Sub(sent) > timeout || suspend.Total()-slept >= time.Second) {
		err = context.DeadlineExceeded
	}
	if err == nil {
		var a *answer
		if a, err = parseAnswer(got, received); err == nil {
			q.learn(a, id, sent)
			return a, nil
		}
	}
	if errors.Is(ctx.Err(), context.Canceled) {
		return nil, context.Cause(ctx)
	}
	err = q.target.explain(err)
	q.failed(sent, err)
	return nil, err
}

// parseAnswer reads what all scripts return.
func parseAnswer(got []string, received time.Time) (*answer, error) {
	const common = 15
	if len(got) < common {
		return nil, fmt.Errorf("the script returned %d values, not %d or more", len(got), common)
	}
	a := &answer{received: received, values: got[common:]}
	var err error
	integer := func(i int) int64 {
		n, e := strconv.ParseInt(got[i], 10, 64)
		if e != nil && err == nil {
			err = fmt.Errorf("the script returned %.20q as number %d", got[i], i)
		}
		return n
	}
	a.epoch, a.now = got[0], integer(1)
	a.hosts, a.rank = int(integer(2)), int(integer(4))
	if left := integer(5); left > 0 {
		a.pause = pause{received.Add(micros(left)), got[7]}
	}
	a.pauses, a.version = integer(6), integer(8)
	settings := func(i int) Settings {
		r, e := strconv.ParseFloat(got[i], 64)
		if e != nil && err == nil {
			err = fmt.Errorf("the script returned %.20q as a rate", got[i])
		}
		return Settings{rate.Limit(r), int(integer(i + 1)), int(integer(i + 2))}
	}
	a.settings, a.given = settings(9), settings(12)
	return a, err
}

func micros(n int64) time.Duration { return time.Duration(n) * time.Microsecond }
