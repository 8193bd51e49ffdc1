package quota

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// An UnavailableError is why the Redis server cannot be used just now.
type UnavailableError struct {
	Server  string // host and port, or the path of its socket
	Err     error
	Lasting bool // it hardly goes away by itself: the URL is wrong, say

	text string // for people; if empty, what Err says
}

func (e *UnavailableError) Error() string {
	return fmt.Sprintf("the Redis server %s cannot be used: %s", e.Server,
		cmp.Or(e.text, e.Err.Error()))
}

func (e *UnavailableError) Unwrap() error { return e.Err }

// unavailable says why there is no answer, without what the reader cannot use.
func (t *target) unavailable(err error) error {
	e := &UnavailableError{Server: t.server, Err: err,
		text: strings.TrimPrefix(err.Error(), "redis: ")}
	lasting := func(text string) error {
		e.text, e.Lasting = text, true
		return e
	}
	var (
		op    *net.OpError
		slow  net.Error
		name  *net.DNSError
		plain tls.RecordHeaderError
		cert  *tls.CertificateVerificationError
	)
	switch {
	case errors.As(err, &name) && name.IsNotFound:
		return lasting("there is no host " + name.Name + ": correct the URL")
	case errors.As(err, &plain):
		return lasting("it does not speak TLS: without TLS the URL begins with " +
			strings.Replace(t.scheme, "rediss", "redis", 1) + "://")
	case errors.As(err, &cert):
		return lasting(fmt.Sprintf("its certificate is not trusted: %v; SSL_CERT_FILE=FILE names "+
			"one that is", cert.Err))
	case errors.Is(err, fs.ErrPermission):
		return lasting("permission denied: let this user write to the socket")
	case errors.Is(err, redis.ErrPoolTimeout), errors.As(err, &slow) && slow.Timeout():
		if e.text = "it does not answer in time"; strings.HasPrefix(t.scheme, "rediss") {
			e.text += ", as one that does not speak TLS"
		}
	case errors.As(err, &op):
		e.text = op.Err.Error()
	case errors.Is(err, redis.Nil): // of all that is asked only this may not be there
		e.text = "no sentinel that answers knows its master_name"
	case strings.HasPrefix(e.text, "can't parse"), strings.HasPrefix(e.text, "invalid reply"):
		return lasting("it is no Redis: correct the host or the port, or begin the URL with " +
			"rediss:// if it wants TLS")
	}
	return e
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
	{"NOPERM", notAllowed},
	{"ERR The user executing the script can't run", notAllowed},
	{"READONLY", "it is a replica, which only reads: name the master, or use redis+sentinel"},
	{"OOM", "its memory is full: raise its maxmemory"},
	{"MISCONF", "it cannot write its data to its disk, and refuses to change them: see its log"},
	{"WRONGTYPE", "a key of the quota's name holds something else: use another name"},
	{"ERR DB index", "it has no database of that number: correct the URL"},
	{"ERR SELECT is not allowed", "it is a cluster, which has no databases: use redis+cluster"},
	{"MOVED", "it is part of a cluster: use redis+cluster"},
	{"ERR This instance has cluster support disabled", "it is no cluster: use redis:// or " +
		"rediss://"},
	{"CROSSSLOT", "it is part of a cluster: use redis+cluster"},
	{"ERR unknown command", "it knows no scripts: Redis 6.2 or newer is needed, and sentinels want " +
		"redis+sentinel"},
}

// Rights are what the user of a Redis server has to be allowed, as ACL SETUSER takes them.
const Rights = "~{penstock:* &{penstock:* +eval +evalsha +@hash +@sortedset +publish +subscribe " +
	"+unsubscribe +ping +select +time +del +pexpire +info"

const notAllowed = "its user may not do this: ACL SETUSER USER " + Rights + " allows it"

// explain says what an error of a call means, and what to do.
func (t *target) explain(err error) error {
	if code, ok := errors.AsType[redis.Error](err); ok {
		text := code.Error()
		if t.sentinel != nil && strings.HasPrefix(text, "ERR unknown command") {
			return &refusedError{t.server,
				"it is no sentinel: name one, or use redis:// for the server itself", err}
		}
		for _, r := range refusals {
			// In a script, a server older than 7 puts text in front.
			if strings.HasPrefix(text, r.code) || strings.Contains(text, "-"+r.code+" ") {
				return &refusedError{t.server, r.text, err}
			}
		}
	}
	return t.unavailable(err)
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
