package quota

import (
	"cmp"
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
	scheme   string
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
	if !strings.Contains(raw, "://") { // what comes before a colon may be a user name
		return nil, errors.New("the URL of the quota must begin with redis://, as in " + form)
	}
	if strings.Contains(raw, "#") {
		return nil, errors.New("the URL of the quota must have no #: write %23 where it belongs to " +
			"the user name or the password")
	}
	u, err := url.Parse(raw)
	if err != nil {
		return nil, unreadable(raw)
	}
	base, kind, _ := strings.Cut(u.Scheme, "+")
	known := map[string]bool{"redis": true, "rediss": true, "unix": kind == ""}[base]
	if !known || kind != "" && kind != "sentinel" && kind != "cluster" {
		return nil, fmt.Errorf("the URL of the quota has the scheme %q: it must be redis, rediss, "+
			"unix, redis+sentinel or redis+cluster, as in %s", u.Scheme, form)
	}
	if port, err := strconv.Atoi(u.Port()); u.Port() != "" && (err != nil || port < 1 ||
		port > 65535) {
		return nil, errPort
	}
	t := &target{scheme: u.Scheme}
	dir, db, name, err := splitPath(u, base, kind)
	if err != nil {
		return nil, err
	}
	t.name, t.keys = name, keysOf(name)
	t.describe(u)
	return t, t.options(*u, base, kind, dir, db)
}

var errPort = errors.New("the URL of the quota has no port between 1 and 65535 after its host")

// unreadable is the error for a URL that net/url cannot read.
func unreadable(raw string) error {
	_, rest, _ := strings.Cut(raw, "://")
	host, _, _ := strings.Cut(rest, "/")
	host = host[strings.LastIndex(host, "@")+1:]
	if _, port, ok := strings.Cut(host, ":"); ok && !strings.ContainsAny(host, "[]%") {
		if _, err := strconv.Atoi(port); err != nil {
			return errPort
		}
	}
	return fmt.Errorf("the URL of the quota cannot be read: write %s, with %%-escapes in the user "+
		"name and the password", form)
}

// splitPath returns the parts of a URL's path: the socket, the number of the database and the name.
func splitPath(u *url.URL, base, kind string) (socket string, db int, name string, err error) {
	dir, name := path.Split(u.Path)
	number := strings.Trim(dir, "/")
	example := base + "://host/0/partner"
	switch {
	case base == "unix":
		socket, number = path.Split(strings.TrimSuffix(dir, "/"))
		example = "unix:///run/redis.sock/0/partner"
	case kind != "":
		example = base + "+" + kind + "://host/0/partner"
	}
	db, err = strconv.Atoi(number)
	if kind == "cluster" && number == "" {
		db, err = 0, nil
	}
	switch {
	case kind == "cluster" && err == nil && db > 0:
		return "", 0, "", fmt.Errorf("the URL of the quota must end in the quota's name, as in %s: a "+
			"cluster has the database 0 only", example)
	case err != nil, db < 0, name == "":
		what := "; it has no path"
		if u.Path != "" {
			what = fmt.Sprintf(", not in %q", u.EscapedPath())
		}
		return "", 0, "", fmt.Errorf("the URL of the quota must end in the number of a database and "+
			"the quota's name, as in %s%s", example, what)
	case !validName(name):
		return "", 0, "", fmt.Errorf("the name of the quota must be at most 100 letters, digits, "+
			"dots, hyphens and underscores, not %.120q", name)
	}
	return socket, db, name, nil
}

// describe sets what is shown of the URL.
func (t *target) describe(u *url.URL) {
	t.server = net.JoinHostPort(cmp.Or(u.Hostname(), "localhost"), cmp.Or(u.Port(), "6379"))
	if u.Scheme == "unix" {
		t.server = path.Dir(path.Dir(u.Path))
	}
	shown := *u
	if _, given := u.User.Password(); given {
		shown.User = url.UserPassword(u.User.Username(), "xxxxx")
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
	if err := t.checkPassword(u.User, query, kind); err != nil {
		return err
	}
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
		text := strings.TrimPrefix(err.Error(), "redis: ")
		if names, ok := strings.CutPrefix(text, "unexpected option: "); ok {
			return unknownParameter(names)
		}
		return fmt.Errorf("the URL of the quota cannot be used: %s", text)
	}
	if t.passwordFile != "" {
		if _, err := t.password(); err != nil {
			return err
		}
	}
	return nil
}

// checkPassword looks whether it is clear what the password is.
func (t *target) checkPassword(user *url.Userinfo, query url.Values, kind string) error {
	_, before := user.Password()
	given, file := before, t.passwordFile
	if kind == "sentinel" { // before the host is that of the sentinels
		given, file = query.Has("password"), ""
	}
	switch {
	case t.passwordFile == "" && query.Has("password-file"):
		return errors.New("the URL of the quota has ?password-file= without a file")
	case t.passwordFile != "" && given:
		return errors.New("the URL of the quota has a password and ?password-file=: leave one of " +
			"the two out")
	case file == "" && user != nil && !before:
		return errors.New("the URL of the quota has a user name and no password: a password alone " +
			"is redis://:PASSWORD@host")
	}
	return nil
}

// unknownParameter says which parameters there are.
func unknownParameter(names string) error {
	known := "there are password-file, dial_timeout, read_timeout, write_timeout and others of " +
		"go-redis"
	switch names {
	case "password", "username":
		known = "write redis://:PASSWORD@host, or ?password-file=FILE"
	case "password_file", "passwordfile":
		known = "did you mean password-file?"
	case "rps", "burst", "concurrency":
		known = "limits are no part of it: give them as flags"
	}
	return fmt.Errorf("the URL of the quota has the parameter %s, which is not known: %s", names,
		known)
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
