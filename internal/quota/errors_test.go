package quota

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock/penstock/internal/test"
)

// What the server refuses is said in one line, with what to do.
func TestRefused(t *testing.T) {
	for _, tt := range []struct {
		says, want string
		temporary  bool
	}{
		{"NOAUTH Authentication required.", "it asks for a password: put one into the URL", false},
		{"WRONGPASS invalid username-password pair or user is disabled.",
			"it refuses the user name or the password: correct them ", false},
		{"NOPERM this user has no permissions to run the 'evalsha' command",
			"its user may not do this: ACL SETUSER ", false},
		{"READONLY You can't write against a read only replica.", "it is a replica, ", false},
		{"ERR Error running script (call to f_1): @user_script:5: -READONLY You can't write " +
			"against a read only replica.", "it is a replica, ", false},
		{"OOM command not allowed when used memory > 'maxmemory'.", "its memory is full: ", false},
		{"MISCONF Redis is configured to save RDB snapshots", "it cannot write its data ", false},
		{"WRONGTYPE Operation against a key holding the wrong kind of value",
			"a key of the quota's name holds something else: ", false},
		{"ERR The user executing the script can't run this command or subcommand script: 788ae",
			"its user may not do this: ACL SETUSER USER ~{penstock:* ", false},
		{"ERR This instance has cluster support disabled", "it is no cluster: ", false},
		{"MOVED 3999 127.0.0.1:6381", "it is part of a cluster: ", false},
		{"ERR unknown command 'EVALSHA'", "it knows no scripts: ", false},
		{"LOADING Redis is loading the dataset in memory",
			"LOADING Redis is loading the dataset in memory", true},
		{"CLUSTERDOWN The cluster is down", "CLUSTERDOWN The cluster is down", true},
	} {
		synctest.Test(t, func(t *testing.T) {
			e := newEngine(t)
			q := e.host(Options{})
			e.m.SetError(tt.says)
			_, err := e.open(per(10))
			want := "the Redis server server:6379 cannot be used: " + tt.want
			if err == nil || !strings.HasPrefix(err.Error(), want) ||
				strings.Contains(err.Error(), "\n") {
				t.Errorf("%s: %v", tt.says, err)
			}
			if gone := (*UnavailableError)(nil); errors.As(err, &gone) != tt.temporary {
				t.Errorf("%s: unavailable: %v", tt.says, !tt.temporary)
			}
			_, err = q.State(t.Context())
			if err == nil || !strings.HasPrefix(err.Error(), want) {
				t.Errorf("%s: the state: %v", tt.says, err)
			}
			e.m.SetError("")
		})
	}
}

// What is no answer of a Redis is said in one line, with what to do where waiting does not help.
func TestUnavailable(t *testing.T) {
	listen := func(says string) string {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		test.OK(t, err)
		t.Cleanup(func() { l.Close() })
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				if says != "" {
					_, _ = c.Write([]byte(says))
				}
				t.Cleanup(func() { c.Close() })
			}
		}()
		return l.Addr().String()
	}
	web, silent := listen("HTTP/1.1 400 Bad Request\r\n\r\n"), listen("")
	for _, tt := range []struct {
		url, want string
		lasting   bool
	}{
		{"redis://" + web + "/0/q", web + " cannot be used: it is no Redis: correct the host or the " +
			"port, or begin the URL with rediss:// if it wants TLS", true},
		{"rediss://" + web + "/0/q", web + " cannot be used: it does not speak TLS: without TLS the " +
			"URL begins with redis://", true},
		{"rediss://" + silent + "/0/q", silent + " cannot be used: it does not answer in time, " +
			"as one that does not speak TLS", false},
		{"redis://" + silent + "/0/q", silent + " cannot be used: it does not answer in time",
			false},
		{"redis://127.0.0.1:1/0/q", "127.0.0.1:1 cannot be used: connect: connection refused", false},
		{"unix:///nowhere/redis.sock/0/q", "/nowhere/redis.sock cannot be used: connect: no such " +
			"file or directory", false},
	} {
		to, err := parse(tt.url)
		test.OK(t, err)
		client := to.connect()
		t.Cleanup(func() { client.Close() })
		ctx, cancel := context.WithTimeout(t.Context(), callTimeout)
		err = to.explain(client.Info(ctx).Err())
		cancel()
		gone, ok := errors.AsType[*UnavailableError](err)
		if want := "the Redis server " + tt.want; !ok || err.Error() != want ||
			gone.Lasting != tt.lasting {
			t.Errorf("%s: %v, want %s", tt.url, err, want)
		}
	}
	to, err := parse("redis://nosuch/0/q")
	test.OK(t, err)
	err = to.explain(&net.DNSError{Name: "nosuch", IsNotFound: true})
	want := "the Redis server nosuch:6379 cannot be used: there is no host nosuch: correct the URL"
	if gone, ok := errors.AsType[*UnavailableError](err); !ok || !gone.Lasting ||
		err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}

func TestPassword(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEngine(t)
		e.m.RequireAuth("right")
		for _, tt := range []struct{ url, want string }{
			{"redis://server/0/q", "the Redis server server:6379 cannot be used: it asks for a password"},
			{"redis://:wrong@server/0/q", "the Redis server server:6379 cannot be used: it refuses "},
			{"redis://:right@server/0/q", "<nil>"},
		} {
			to, err := parse(tt.url)
			test.OK(t, err)
			to.dialer = e.dial
			q, err := open(t.Context(), to, Options{})
			if err == nil {
				test.Check(t, q.Close(t.Context()))
			}
			if got := fmt.Sprint(err); !strings.HasPrefix(got, tt.want) ||
				strings.Contains(got, "wrong") {
				t.Errorf("%s: %v", tt.url, err)
			}
		}
	})
}

// The first that says something of the quota settles it for all.
func TestConflict(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEngine(t)
		e.host(Options{Settings: Settings{Rate: 1000, InFlight: 8}})
		q := e.host(Options{Settings: Settings{Rate: 1000, Burst: 3}})
		if got, want := q.Settings(), (Settings{1000, 3, 8}); got != want {
			t.Errorf("%+v, want %+v", got, want)
		}
		_, err := e.open(Options{Settings: Settings{Rate: 500}})
		var conflict *ConflictError
		want := `the quota "q" has a rate of 1000, not 500: leave it out, or change it for all with ` +
			"penstock quota set"
		if !errors.As(err, &conflict) || *conflict != (ConflictError{"q", "rate", 500, 1000}) ||
			err.Error() != want {
			t.Errorf("another rate: %v", err)
		}
		none := 0
		test.OK(t, q.Set(t.Context(), Changes{Burst: &none}))
		_, err = e.open(Options{Settings: Settings{Rate: 1000, Burst: 3, InFlight: 9}})
		if got, want := e.host(Options{}).Settings(), (Settings{1000, 0, 8}); got != want {
			t.Errorf("%+v after a conflict, want %+v", got, want)
		}
		if !errors.As(err, &conflict) || conflict.Ours != 9 {
			t.Errorf("another limit: %v", err)
		}
		for _, s := range []Settings{{Rate: -1}, {Rate: 1e-7}, {Burst: -1}, {InFlight: -1}} {
			if _, err := e.open(Options{Settings: s}); err == nil {
				t.Errorf("%+v is accepted", s)
			}
		}
		n := -1
		if err := q.Set(t.Context(), Changes{InFlight: &n}); err == nil {
			t.Errorf("a negative limit is accepted")
		}
	})
}

// A server that may drop keys, or is too old, is told by what it says of itself.
func TestField(t *testing.T) {
	info := "# Server\r\nredis_version:6.0.16\r\nredis_git_sha1:0\r\n"
	for name, want := range map[string]string{
		"redis_version": "6.0.16", "version": "", "redis_git_sha1": "0", "other": "",
	} {
		if got := field(info, name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

// A pause is as long as it was when the clock of the server is set back.
func TestClockSetPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEngine(t)
		q := e.host(per(100))
		until := time.Now().Add(time.Minute)
		test.OK(t, q.Pause(t.Context(), until, "retry-after"))
		e.m.SetTime(time.Now().Add(-time.Hour))
		s, err := q.State(t.Context())
		test.OK(t, err)
		if !near(s.Paused, until) {
			t.Errorf("paused until %v, want %v", s.Paused, until)
		}
	})
}

// The clock of the server is set while hosts send.
func TestClockSet(t *testing.T) {
	for _, by := range []time.Duration{time.Hour, -time.Hour, 2 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			e := newEngine(t)
			u := upstream()
			var r record
			ctx, stop := r.context(t)
			defer stop()
			e.host(per(100)).Attach(u)
			r.saturate(ctx, 0, 50, u)
			other := upstream()
			e.host(per(100)).Attach(other)
			r.saturate(ctx, 1, 50, other)
			time.Sleep(3 * time.Second)
			begin := time.Now()
			for range 50 { // miniredis keeps what it is set to
				e.m.SetTime(time.Now().Add(by))
				time.Sleep(time.Millisecond)
			}
			tick := time.NewTicker(time.Millisecond)
			defer tick.Stop()
			for range 5000 {
				<-tick.C
				e.m.SetTime(time.Now().Add(by))
			}
			least, most := r.windows(begin.Add(-time.Second), time.Now(), time.Second)
			if least < 75 || most > 103 {
				t.Errorf("by %v: %d to %d in a second", by, least, most)
			}
			if least, most := r.each(2); most-least > most/10 {
				t.Errorf("by %v: %d and %d", by, least, most)
			}
		})
	}
}
