package quota

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// An UnavailableError is why the Redis server cannot be used just now. It may go away by itself.
type UnavailableError struct {
	Server string // host and port, or the path of its socket
	Err    error
}

func (e *UnavailableError) Error() string {
	return fmt.Sprintf("the Redis server %s cannot be used: %v", e.Server, plain(e.Err))
}

func (e *UnavailableError) Unwrap() error { return e.Err }

// plain returns an error without what the reader cannot use.
func plain(err error) error {
	var op *net.OpError
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, redis.ErrPoolTimeout):
		return errors.New("it does not answer in time")
	case errors.As(err, &op) && op.Timeout():
		return errors.New("it does not answer in time")
	case errors.As(err, &op):
		return op.Err
	case errors.Is(err, redis.Nil): // of all that is asked only this may not be there
		return errors.New("no sentinel that answers knows its master_name")
	}
	return errors.New(strings.TrimPrefix(err.Error(), "redis: "))
}

// A ConflictError is a value that differs from the one that is settled for all.
type ConflictError struct {
	Name   string // of the quota
	What   string
	Ours   float64
	Theirs float64
}

func (e *ConflictError) Error() string {
	return fmt.Sprintf("the quota %q has a %s of %v, not %v: leave it out, or change it for all with "+
		"penstock quota set", e.Name, e.What, e.Theirs, e.Ours)
}

// refusals are errors of the server that do not go away by themselves, by the word that they begin
// with, and what to do.
var refusals = []struct{ code, text string }{
	{"WRONGPASS", "it refuses the user name or the password: correct them in the URL, or in its " +
		"password-file"},
	{"NOAUTH", "it asks for a password: put one into the URL, or name a file with ?password-file="},
	{"NOPERM", "its user may not do this: allow it the keys and channels {penstock:*, and EVALSHA, " +
		"EVAL, SUBSCRIBE and the commands of hashes and sorted sets"},
	{"READONLY", "it is a replica, which only reads: name the master, or use redis+sentinel"},
	{"OOM", "its memory is full: raise its maxmemory"},
	{"MISCONF", "it cannot write its data to its disk, and refuses to change them: see its log"},
	{"WRONGTYPE", "a key of the quota's name holds something else: use another name"},
	{"ERR DB index", "it has no database of that number: correct the URL"},
	{"ERR SELECT is not allowed", "it is a cluster, which has no databases: use redis+cluster"},
	{"MOVED", "it is part of a cluster: use redis+cluster"},
	{"CROSSSLOT", "it is part of a cluster: use redis+cluster"},
	{"ERR unknown command", "it knows no scripts: Redis 6.2 or newer is needed"},
}

// explain says what an error of a call means, and what to do.
func (t *target) explain(err error) error {
	if code, ok := errors.AsType[redis.Error](err); ok {
		text := code.Error()
		for _, r := range refusals {
			// In a script, a server older than 7 puts text in front.
			if strings.HasPrefix(text, r.code) || strings.Contains(text, "-"+r.code+" ") {
				return &refusedError{t.server, r.text, err}
			}
		}
	}
	return &UnavailableError{t.server, err}
}

// A refusedError is for people to correct.
type refusedError struct {
	server, text string
	err          error
}

func (e *refusedError) Error() string {
	return fmt.Sprintf("the Redis server %s cannot be used: %s", e.server, e.text)
}
func (e *refusedError) Unwrap() error { return e.err }

// check looks whether the server is new enough, and keeps what it is given. One that does not say
// is taken as it is.
func (q *Quota) check(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, max(callTimeout, q.target.patience))
	defer cancel()
	info, err := q.client.Info(ctx, "server").Result()
	if err != nil {
		if _, ok := errors.AsType[redis.Error](err); !ok {
			return q.target.explain(err)
		}
		if err = q.target.explain(err); isRefused(err) && !strings.HasPrefix(
			errors.Unwrap(err).Error(), "NOPERM") {
			return err
		}
		return nil
	}
	version := field(info, "redis_version")
	var major, minor int
	if n, _ := fmt.Sscanf(version, "%d.%d", &major, &minor); n == 2 &&
		(major < 6 || major == 6 && minor < 2) {
		return &refusedError{q.target.server,
			fmt.Sprintf("it is version %s, and Redis 6.2 or newer is needed", version), nil}
	}
	q.mu.Lock()
	q.mu.contact.version = version
	q.mu.Unlock()
	memory, err := q.client.Info(ctx, "memory").Result()
	if policy := field(memory, "maxmemory_policy"); err == nil && policy != "" &&
		policy != "noeviction" && field(memory, "maxmemory") != "0" {
		q.tell(Notice{Kind: Evicts, Time: time.Now(), Err: fmt.Errorf("the Redis server %s may "+
			"drop the quota when its memory is full: set its maxmemory-policy, which is %s, to "+
			"noeviction", q.target.server, policy)})
	}
	return nil
}

func isRefused(err error) bool {
	_, ok := errors.AsType[*refusedError](err)
	return ok
}

// field returns a field of what INFO returned.
func field(info, name string) string {
	_, rest, _ := strings.Cut("\n"+info, "\n"+name+":")
	value, _, _ := strings.Cut(rest, "\r\n")
	return value
}
