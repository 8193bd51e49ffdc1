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
		url: "redis://host/0/partner", name: "partner", server: "host:6379",
		shown: "redis://host/0/partner", addrs: []string{"host:6379"},
	}, {
		url: "rediss://me:s%40crit@host:7000/3/a.b-c_d?read_timeout=2s", name: "a.b-c_d",
		server: "host:7000", shown: "rediss://me:xxxxx@host:7000/3/a.b-c_d?read_timeout=2s",
		addrs: []string{"host:7000"}, db: 3, tls: true, user: "me", password: "s@crit",
	}, {
		url: "redis://:s@/1/q", name: "q", server: "localhost:6379", shown: "redis://:xxxxx@/1/q",
		addrs: []string{"localhost:6379"}, db: 1, password: "s",
	}, {
		url: "redis://me@host/0/q?password-file=" + file, name: "q", server: "host:6379",
		shown: "redis://me@host/0/q?password-file=" + strings.ReplaceAll(file, "/", "%2F"),
		addrs: []string{"host:6379"}, user: "me", password: "of the file",
	}, {
		url: "unix:///run/redis.sock/2/q", name: "q", server: "/run/redis.sock",
		shown: "unix:///run/redis.sock/2/q", addrs: []string{"/run/redis.sock"}, db: 2,
	}, {
		url:  "redis+sentinel://:of-the-sentinels@a:1/4/q?addr=b:2&master_name=m&username=u&password=p",
		name: "q", server: "a:1",
		shown: "redis+sentinel://:xxxxx@a:1/4/q?addr=b%3A2&master_name=m&username=u",
		addrs: []string{"a:1", "b:2"}, db: 4, user: "u", password: "p",
	}, {
		url: "rediss+cluster://u:p@a:1/q?addr=b:2", name: "q", server: "a:1",
		shown: "rediss+cluster://u:xxxxx@a:1/q?addr=b%3A2",
		addrs: []string{"a:1", "b:2"}, tls: true, user: "u", password: "p",
	}, {
		url: "redis+cluster://a/0/q", name: "q", server: "a:6379", shown: "redis+cluster://a/0/q",
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
		{"host/0/q", "the URL of the quota must begin with redis://, as in " + form},
		{"localhost:7615/0/q", "the URL of the quota must begin with redis://, as in "},
		{"127.0.0.1:7615/0/q", "the URL of the quota must begin with redis://, as in "},
		{"hush:hush@localhost:7615/0/q", "the URL of the quota must begin with redis://, as in "},
		{"redis://u:hu%sh@host/0/q", "the URL of the quota cannot be read: write " + form},
		{"redis://u:hush@host:port/0/q", "the URL of the quota has no port between 1 and 65535"},
		{"redis://u:hush@host:99999/0/q", "the URL of the quota has no port between 1 and 65535"},
		{"redis://u:hush@host:0/0/q", "the URL of the quota has no port between 1 and 65535"},
		{"redis://u:hu#sh@host/0/q", "the URL of the quota must have no #: write %23 where it belongs"},
		{"redis://host/0/q#hush", "the URL of the quota must have no #: "},
		{"redis://hush@host/0/q", "the URL of the quota has a user name and no password: a password " +
			"alone is redis://:PASSWORD@host"},
		{"redis+sentinel://hush@host/0/q?master_name=m", "the URL of the quota has a user name "},
		{"redis://u:hush@host", "the URL of the quota must end in the number of a database and the " +
			"quota's name, as in redis://host/0/partner; it has no path"},
		{"redis://u:hush@host/0", `the URL of the quota must end in the number of a database and ` +
			`the quota's name, as in redis://host/0/partner, not in "/0"`},
		{"redis://u:hush@host/0/", `the URL of the quota must end in the number of a database and `},
		{"redis://u:hush@host/0/a%20b", `the name of the quota must be at most 100 letters, digits, ` +
			`dots, hyphens and underscores, not "a b"`},
		{"redis://u:hush@host/0/{a}", "the name of the quota must be at most 100 letters, "},
		{"redis://u:hush@host/partner", `the URL of the quota must end in the number of a database ` +
			`and the quota's name, as in redis://host/0/partner, not in "/partner"`},
		{"redis://u:hush@host/-1/q", "the URL of the quota must end in the number of a database and"},
		{"redis://u:hush@host/0/1/q", "the URL of the quota must end in the number of a database and"},
		{"redis://host/0/p/rubbish", `the URL of the quota must end in the number of a database and ` +
			`the quota's name, as in redis://host/0/partner, not in "/0/p/rubbish"`},
		{"redis://host/0/p%2Fq", `the URL of the quota must end in the number of a database and ` +
			`the quota's name, as in redis://host/0/partner, not in "/0/p%2Fq"`},
		{"redis+cluster://u:hush@host/1/q", "the URL of the quota must end in the quota's name, as " +
			`in redis+cluster://host/0/partner: a cluster has the database 0 only`},
		{"unix:///q", "the URL of the quota must end in the number of a database and the quota's " +
			"name, as in unix:///run/redis.sock/0/partner"},
		{"unix:///x/nosock", "the URL of the quota must end in the number of a database and the " +
			"quota's name, as in unix:///run/redis.sock/0/partner"},
		{"redis+sentinel://:hush@host/0/q", "the URL of the quota must have ?master_name="},
		{"redis://u:hush@host/0/q?what=1", "the URL of the quota has the parameter what, which is " +
			"not known: there are password-file, dial_timeout, read_timeout, write_timeout and others"},
		{"redis://host/0/q?password_file=f", "the URL of the quota has the parameter password_file, " +
			"which is not known: did you mean password-file?"},
		{"redis://host/0/q?password=hush", "the URL of the quota has the parameter password, which " +
			"is not known: write redis://:PASSWORD@host, or ?password-file=FILE"},
		{"redis://host/0/q?rps=4", "the URL of the quota has the parameter rps, which is not known: " +
			"limits are no part of it: give them as flags"},
		{"redis://host/0/q?read_timeout=x", "the URL of the quota cannot be used: "},
		{"redis://host/0/q?password-file=/nowhere", "the password of the quota's server cannot " +
			"be read: open /nowhere: "},
		{"redis://host/0/q?password-file=", "the URL of the quota has ?password-file= without a file"},
		{"redis://:hush@host/0/q?password-file=" + empty, "the URL of the quota has a password " +
			"and ?password-file=: leave one of the two out"},
		{"redis+sentinel://host/0/q?master_name=m&password=hush&password-file=" + empty,
			"the URL of the quota has a password and ?password-file="},
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
