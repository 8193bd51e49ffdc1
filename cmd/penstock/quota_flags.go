package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/spf13/pflag"

	"github.com/penstock/penstock/internal/conceal"
	"github.com/penstock/penstock/internal/exit"
	"github.com/penstock/penstock/internal/quota"
	"github.com/penstock/penstock/internal/secret"
	"github.com/penstock/penstock/internal/status"
	"github.com/penstock/penstock/internal/upstream"
	"github.com/penstock/penstock/throttle"
)

// quotaFlags are the flags of a quota that several runs and relays share.
type quotaFlags struct {
	from, down string

	options quota.Options // by take
}

func (f *quotaFlags) declare(flags *pflag.FlagSet) {
	flags.Var(newValue(&f.from, "URL", readQuota), "quota-from",
		"share one quota with other runs, in Redis: redis://HOST/0/NAME; --rps, --burst and "+
			"--concurrency are then those of all together")
	flags.Var(oneOf(&f.down, "WHAT", downs...).or(downs[0]), "quota-down",
		"what to do while that Redis cannot be reached; share keeps to the last share for 30 s, "+
			"or 6 s where --concurrency is shared, and then stops; local keeps to --rps alone")
}

var downs = []string{quota.Share.String(), quota.Stop.String(), quota.Local.String()}

// readQuota checks the URL of a quota. Errors do not show it, for it may have a password.
func readQuota(s string) (string, error) {
	if err := quota.Check(s); err != nil {
		return "", valueError(": " + status.Plain(err))
	}
	return s, nil
}

// take moves the limits that are the quota's out of those of the run. What the run finds of the
// server's pace still holds it back.
func (f *quotaFlags) take(limits *throttle.Limits) error {
	local := f.down == quota.Local.String()
	switch {
	case f.from == "" && f.down != downs[0]:
		return errors.New("--quota-down is about --quota-from: give that too, or leave it out")
	case f.from == "":
		return nil
	case local && limits.Rate == 0:
		return errors.New("--quota-down local keeps to --rps: give it")
	}
	f.options = quota.Options{Settings: quota.Settings{
		Rate: limits.Rate, Burst: limits.Burst, InFlight: limits.InFlight,
	}}
	for _, d := range []quota.Down{quota.Share, quota.Stop, quota.Local} {
		if d.String() == f.down {
			f.options.Down = d
		}
	}
	if local {
		f.options.LocalRate = limits.Rate
	}
	limits.Rate, limits.Burst, limits.InFlight = 0, 0, 0
	if limits.Fixed { // which needs one of these
		limits.InFlight = upstream.MostInFlight
	}
	return nil
}

// shown says whose pace is kept to; "" if no quota is shared. The settings are those given, as long
// as those in force are not known.
func (f *quotaFlags) shown(q *quota.Quota) string {
	switch {
	case f.from == "":
		return ""
	case q != nil:
		return status.QuotaShared(q.Name(), q.Settings())
	}
	return status.QuotaShared(quota.NameOf(f.from), f.options.Settings)
}

// open takes part in the quota, if one is given, and logs what becomes of it until end is called.
func (f *quotaFlags) open(
	ctx context.Context, log *slog.Logger,
) (q *quota.Quota, end func(), err error) {
	if f.from == "" {
		return nil, func() {}, nil
	}
	var told latest
	f.options.Notify = func(n quota.Notice) {
		switch {
		case n.Kind == quota.Hosts:
			told.tell(func() { log.Info(status.Quota(n)) })
		case n.Err != nil:
			log.Warn(status.Quota(n))
		default:
			log.Info(status.Quota(n))
		}
	}
	if q, err = quota.Open(ctx, f.from, f.options); err != nil {
		if differs, ok := errors.AsType[*quota.ConflictError](err); ok {
			return nil, nil, status.QuotaConflict(differs)
		}
		return nil, nil, quotaError(err, "--quota-from: ",
			"; with --quota-down local and --rps it begins without")
	}
	if s := q.Settings(); s.Rate == 0 && s.InFlight == 0 {
		log.Warn(status.QuotaUnlimited(q.Name()))
	}
	return q, func() {
		told.stop()
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = q.Close(ctx) // without a word the others find out too
	}, nil
}

// look asks the quota, if one is given, what a run would find. It takes no part, and changes
// nothing. If the quota cannot be reached, a remark says so, and the state has what is given.
func (f *quotaFlags) look(ctx context.Context, now time.Time) (
	state quota.State, remarks []string, err error,
) {
	if f.from == "" {
		return state, nil, nil
	}
	q, err := quota.Open(ctx, f.from, quota.Options{})
	if err == nil {
		state, err = q.State(ctx)
		_ = q.Close(ctx)
	}
	if gone, ok := errors.AsType[*quota.UnavailableError](err); ok && !gone.Lasting {
		remarks = append(remarks,
			"--quota-from: "+status.Plain(err)+"; what the quota allows is not known")
		return quota.State{Settings: f.options.Settings}, remarks, nil
	} else if err != nil {
		return state, nil, quotaError(err, "--quota-from: ", "")
	}
	_, err = state.Check(f.options.Settings)
	if differs, ok := errors.AsType[*quota.ConflictError](err); ok {
		return state, nil, status.QuotaConflict(differs)
	}
	s, ours := &state.Settings, f.options.Settings
	s.Rate, s.Burst = cmp.Or(s.Rate, ours.Rate), cmp.Or(s.Burst, ours.Burst)
	s.InFlight = cmp.Or(s.InFlight, ours.InFlight)
	if s.Rate == 0 && s.InFlight == 0 {
		remarks = append(remarks, status.QuotaUnlimited(state.Name))
	}
	if state.Paused.After(now) {
		remarks = append(remarks,
			"the quota is "+status.QuotaPaused(state.Paused, state.PauseSource, now))
	}
	return state, remarks, nil
}

// A latest says the last of several things that follow one another: machines come and go together.
type latest struct {
	mu    sync.Mutex
	timer *time.Timer
	ended bool
}

// tell calls say in a while, unless it is called again before, or stop is.
func (l *latest) tell(say func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.timer != nil {
		l.timer.Stop()
	}
	if !l.ended {
		l.timer = time.AfterFunc(time.Second, say)
	}
}

func (l *latest) stop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended = true; l.timer != nil {
		l.timer.Stop()
	}
}

// quotaError gives an error of a quota its status. If the Redis may be back later, it says what to
// look at, and what else helps.
func quotaError(err error, before, otherwise string) error {
	if err == nil {
		return nil
	}
	gone, ok := errors.AsType[*quota.UnavailableError](err)
	if !ok || gone.Lasting {
		return fmt.Errorf("%s%w", before, err)
	}
	return &exit.Error{Status: exit.Unavailable, Err: fmt.Errorf(
		"%s%w: check that it runs, and that the URL is right%s", before, err, otherwise)}
}

// shownQuota hides the password in the URL of a quota. A file that has it is no secret.
func shownQuota(s string) string {
	u, err := url.Parse(s)
	if err != nil {
		return conceal.URL(s)
	}
	for name := range u.Query() {
		if name != "password-file" && strings.Contains(name, "password") {
			return conceal.URL(s)
		}
	}
	if _, given := u.User.Password(); given {
		name := url.User(u.User.Username()).String()
		u.User = nil
		rest := strings.TrimPrefix(u.String(), u.Scheme+"://")
		return u.Scheme + "://" + name + ":" + secret.Mask + "@" + rest
	}
	return s
}
