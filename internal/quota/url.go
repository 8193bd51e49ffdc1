package quota

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// A target is where a quota is.
type target struct {
	name     string
	keys     []string
	server   string // for people
	shown    string // the URL without what is secret
	patience time.Duration

	passwordFile string
	dialer       func() (net.Conn, error) // for tests
	single       *redis.Options           // one of the three
	sentinel     *redis.FailoverOptions
	cluster      *redis.ClusterOptions
}

const form = "redis://[user:password@]host[:port]/DB/NAME"

var quiet = sync.OnceFunc(logging.Disable)

// parse reads the URL of a quota. Errors do not show it, since it may have a password.
func parse(raw string) (*target, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return nil, fmt.Errorf("the URL of the quota cannot be read: write %s, with %%-escapes in "+
			"the user name and the password", form)
	}
	base, kind, _ := strings.Cut(u.Scheme, "+")
	known := map[string]bool{"redis": true, "rediss": true, "unix": kind == ""}[base]
	if !known || kind != "" && kind != "sentinel" && kind != "cluster" {
		return nil, fmt.Errorf("the URL of the quota has the scheme %q: it must be redis, rediss, "+
			"unix, redis+sentinel or redis+cluster, as in %s", u.Scheme, form)
	}
	t := &target{}
	dir, name := path.Split(u.Path)
	db := strings.Trim(dir, "/")
	if base == "unix" {
		dir, db = path.Split(strings.TrimSuffix(dir, "/"))
	}
	if !validName(name) {
		return nil, fmt.Errorf("the URL of the quota must end in its name, as in %s; it has at most "+
			"100 letters, digits, dots, hyphens and underscores", form)
	}
	number, err := strconv.Atoi(db)
	if kind == "cluster" && db == "" {
		number, err = 0, nil
	}
	if err != nil || number < 0 || kind == "cluster" && number > 0 {
		return nil, fmt.Errorf("the URL of the quota must have the number of a database before the "+
			"name, as in redis://host/0/%s; of a cluster, that is 0", name)
	}
	t.name, t.keys = name, keysOf(name)
	t.describe(u)
	return t, t.options(*u, base, kind, dir, number)
}

// describe sets what is shown of the URL.
func (t *target) describe(u *url.URL) {
	t.server = u.Host
	if u.Scheme == "unix" {
		t.server = path.Dir(path.Dir(u.Path))
	} else if t.server == "" {
		t.server = "localhost"
	}
	shown := *u
	if u.User != nil {
		shown.User = url.User(u.User.Username())
		if u.User.Username() == "" {
			shown.User = nil
		}
	}
	query := u.Query()
	query.Del("password")
	shown.RawQuery, shown.Fragment = query.Encode(), ""
	t.shown = shown.String()
}

func (t *target) String() string { return t.shown }

// parameters are those of go-redis that have another value where the URL says nothing.
var parameters = map[string]string{
	"protocol":      "2",
	"dial_timeout":  "1s",
	"read_timeout":  callTimeout.String(),
	"write_timeout": callTimeout.String(),
	"pool_timeout":  callTimeout.String(),
	// So many dials may fail before go-redis looks only once a second whether the server is back.
	"pool_size": "100",
}

// options reads the rest of the URL as go-redis does.
func (t *target) options(u url.URL, base, kind, dir string, db int) error {
	query := u.Query()
	t.passwordFile = query.Get("password-file")
	query.Del("password-file")
	for name, value := range parameters {
		if !query.Has(name) {
			query.Set(name, value)
		}
	}
	// A call that is repeated would lose the slots that it was granted before.
	query.Set("max_retries", "-1")
	u.Scheme, u.Path, u.RawPath = base, "/"+strconv.Itoa(db), ""
	switch {
	case base == "unix":
		u.Path = strings.TrimSuffix(dir, "/")
		query.Set("db", strconv.Itoa(db))
	case kind == "cluster":
		u.Path = ""
	case kind == "sentinel" && query.Get("master_name") == "":
		return errors.New("the URL of the quota must have ?master_name=, which the sentinels know " +
			"the server by")
	}
	u.RawQuery = query.Encode()
	var err error
	switch kind {
	case "sentinel":
		if t.sentinel, err = redis.ParseFailoverURL(u.String()); err == nil {
			t.patience = t.sentinel.ReadTimeout
		}
	case "cluster":
		if t.cluster, err = redis.ParseClusterURL(u.String()); err == nil {
			t.patience = t.cluster.ReadTimeout
		}
	default:
		if t.single, err = redis.ParseURL(u.String()); err == nil {
			t.patience = t.single.ReadTimeout
		}
	}
	if err != nil {
		return fmt.Errorf("the URL of the quota cannot be used: %s",
			strings.TrimPrefix(err.Error(), "redis: "))
	}
	if t.passwordFile != "" {
		if _, err := t.password(); err != nil {
			return err
		}
	}
	return nil
}

// password reads the file that has it. It is read for each connection, since passwords change.
func (t *target) password() (string, error) {
	text, err := os.ReadFile(t.passwordFile)
	if err != nil {
		return "", fmt.Errorf("the password of the quota's server cannot be read: %w", err)
	}
	if p := strings.TrimRight(string(text), "\r\n"); p != "" {
		return p, nil
	}
	return "", fmt.Errorf("the password of the quota's server cannot be read: %s is empty",
		t.passwordFile)
}

// connect returns a client, which has not connected yet.
func (t *target) connect() redis.UniversalClient {
	quiet()
	none := &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	switch {
	case t.sentinel != nil:
		o := t.sentinel
		o.DialerRetries, o.ContextTimeoutEnabled, o.DisableIdentity = 1, true, true
		o.CredentialsProviderContext = t.credentials(o.Username)
		return redis.NewFailoverClient(o)
	case t.cluster != nil:
		o := t.cluster
		o.DialerRetries, o.ContextTimeoutEnabled, o.DisableIdentity = 1, true, true
		o.CredentialsProviderContext = t.credentials(o.Username)
		o.MaintNotificationsConfig = none
		return redis.NewClusterClient(o)
	default:
		o := t.single
		o.DialerRetries, o.ContextTimeoutEnabled, o.DisableIdentity = 1, true, true
		o.CredentialsProviderContext = t.credentials(o.Username)
		o.MaintNotificationsConfig = none
		if t.dialer != nil {
			o.Dialer = func(context.Context, string, string) (net.Conn, error) { return t.dialer() }
		}
		return redis.NewClient(o)
	}
}

// credentials returns how to find the password, or nil if it is not in a file.
func (t *target) credentials(user string) func(context.Context) (string, string, error) {
	if t.passwordFile == "" {
		return nil
	}
	return func(context.Context) (string, string, error) {
		p, err := t.password()
		return user, p, err
	}
}
