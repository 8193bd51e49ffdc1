package quota

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/penstock/penstock/internal/test"
)

func TestParse(t *testing.T) {
	file := filepath.Join(t.TempDir(), "password")
	test.OK(t, os.WriteFile(file, []byte("of the file\n"), 0o600))
	for _, tt := range []struct {
		url, name, server, shown string
		addrs                    []string
		db                       int
		tls                      bool
		user, password           string
	}{{
		url: "redis://host/0/partner", name: "partner", server: "host",
		shown: "redis://host/0/partner", addrs: []string{"host:6379"},
	}, {
		url: "rediss://me:s%40crit@host:7000/3/a.b-c_d?read_timeout=2s", name: "a.b-c_d",
		server: "host:7000", shown: "rediss://me@host:7000/3/a.b-c_d?read_timeout=2s",
		addrs: []string{"host:7000"}, db: 3, tls: true, user: "me", password: "s@crit",
	}, {
		url: "redis://:s@/1/q", name: "q", server: "localhost", shown: "redis:///1/q",
		addrs: []string{"localhost:6379"}, db: 1, password: "s",
	}, {
		url: "redis://me@host/0/q?password-file=" + file, name: "q", server: "host",
		shown: "redis://me@host/0/q?password-file=" + strings.ReplaceAll(file, "/", "%2F"),
		addrs: []string{"host:6379"}, user: "me", password: "of the file",
	}, {
		url: "unix:///run/redis.sock/2/q", name: "q", server: "/run/redis.sock",
		shown: "unix:///run/redis.sock/2/q", addrs: []string{"/run/redis.sock"}, db: 2,
	}, {
		url:  "redis+sentinel://:of-the-sentinels@a:1/4/q?addr=b:2&master_name=m&username=u&password=p",
		name: "q", server: "a:1",
		shown: "redis+sentinel://a:1/4/q?addr=b%3A2&master_name=m&username=u",
		addrs: []string{"a:1", "b:2"}, db: 4, user: "u", password: "p",
	}, {
		url: "rediss+cluster://u:p@a:1/q?addr=b:2", name: "q", server: "a:1",
		shown: "rediss+cluster://u@a:1/q?addr=b%3A2", addrs: []string{"a:1", "b:2"}, tls: true,
		user: "u", password: "p",
	}, {
		url: "redis+cluster://a/0/q", name: "q", server: "a", shown: "redis+cluster://a/0/q",
		addrs: []string{"a:6379"},
	}} {
		got, err := parse(tt.url)
		if err != nil {
			t.Errorf("%s: %v", tt.url, err)
			continue
		}
		if got.name != tt.name || got.server != tt.server || got.String() != tt.shown {
			t.Errorf("%s: %q at %q, shown as %q", tt.url, got.name, got.server, got)
		}
		var addrs []string
		var db int
		var tls bool
		var user, password string
		switch {
		case got.single != nil:
			o := got.single
			addrs, db, tls = []string{o.Addr}, o.DB, o.TLSConfig != nil
			user, password = o.Username, o.Password
		case got.sentinel != nil:
			o := got.sentinel
			addrs, db, tls = o.SentinelAddrs, o.DB, o.TLSConfig != nil
			user, password = o.Username, o.Password
		default:
			o := got.cluster
			addrs, tls, user, password = o.Addrs, o.TLSConfig != nil, o.Username, o.Password
		}
		if got.passwordFile != "" {
			password, err = got.password()
			test.Check(t, err)
		}
		slices.Sort(addrs)
		if !slices.Equal(addrs, tt.addrs) || db != tt.db || tls != tt.tls || user != tt.user ||
			password != tt.password {
			t.Errorf("%s: %v, database %d, TLS %v, user %q, password %q", tt.url, addrs, db, tls,
				user, password)
		}
		test.Check(t, got.connect().Close())
	}
}

func TestParseErrors(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty")
	test.OK(t, os.WriteFile(empty, []byte("\n"), 0o600))
	for _, tt := range []struct{ url, want string }{
		{"http://u:hush@host/0/q", `the URL of the quota has the scheme "http": it must be redis, ` +
			"rediss, unix, redis+sentinel or redis+cluster, as in " + form},
		{"redis+what://host/0/q", `the URL of the quota has the scheme "redis+what": it must be `},
		{"unix+sentinel:///sock/0/q", `the URL of the quota has the scheme "unix+sentinel": it must `},
		{"host/0/q", `the URL of the quota has the scheme "": it must be redis`},
		{"redis://u:hu%sh@host/0/q", "the URL of the quota cannot be read: write " + form},
		{"redis://u:hush@host:port/0/q", "the URL of the quota cannot be read: write " + form},
		{"redis://u:hush@host", "the URL of the quota must end in its name, as in " + form},
		{"redis://u:hush@host/0/", "the URL of the quota must end in its name, as in "},
		{"redis://u:hush@host/0/a%20b", "the URL of the quota must end in its name, as in "},
		{"redis://u:hush@host/0/{a}", "the URL of the quota must end in its name, as in "},
		{"redis://u:hush@host/partner", "the URL of the quota must have the number of a database " +
			"before the name, as in redis://host/0/partner"},
		{"redis://u:hush@host/-1/q", "the URL of the quota must have the number of a database"},
		{"redis://u:hush@host/0/1/q", "the URL of the quota must have the number of a database"},
		{"redis+cluster://u:hush@host/1/q", "the URL of the quota must have the number of a database"},
		{"unix:///q", "the URL of the quota must have the number of a database"},
		{"redis+sentinel://:hush@host/0/q", "the URL of the quota must have ?master_name="},
		{"redis://u:hush@host/0/q?what=1", "the URL of the quota cannot be used: unexpected option: what"},
		{"redis://host/0/q?password-file=/nowhere", "the password of the quota's server cannot " +
			"be read: open /nowhere: "},
		{"redis://host/0/q?password-file=" + empty, "the password of the quota's server cannot " +
			"be read: " + empty + " is empty"},
	} {
		_, err := parse(tt.url)
		if err == nil || !strings.HasPrefix(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %s", tt.url, err, tt.want)
		} else if strings.Contains(err.Error(), "hush") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", tt.url, err)
		}
	}
}

// Whatever the URL is, parse does not panic, and what is shown is a URL of the same quota.
func FuzzParse(f *testing.F) {
	f.Add("redis://user:hush-hush@host:1/0/name?addr=a:1")
	f.Add("redis+sentinel://:hush-hush@host/0/name?master_name=m&password=hush-hush")
	f.Add("unix://user:hush-hush@/run/sock/1/name")
	f.Fuzz(func(t *testing.T, url string) {
		got, err := parse(url)
		if err != nil {
			return
		}
		if !validName(got.name) || got.keys[0] != "{penstock:"+got.name+"}" {
			t.Errorf("%q: %q", url, got.name)
		}
		again, err := parse(got.String())
		if err != nil {
			t.Fatalf("%q is shown as %q: %v", url, got, err)
		}
		if again.name != got.name || again.server != got.server {
			t.Errorf("%q is shown as %q", url, got)
		}
	})
}
