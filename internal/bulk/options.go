package bulk

import (
	"github.com/penstock/penstock/internal/lazy"

	"strings"

	"github.com/penstock/penstock/internal/curl"
)

// quiet are options of curl whose loss nobody notices: they are about its own output, or ask for
// what is so anyway.
var quiet = set(`basic buffer no-buffer clobber disable fail fail-early fail-with-body http1.1
	include keepalive keepalive-time no-keepalive no-progress-meter parallel-immediate path-as-is
	progress-bar progress-meter show-error silent ssl ssl-reqd styled-output tcp-nodelay tlsv1
	tlsv1.0 tlsv1.1 tlsv1.2 trace-time verbose expect100-timeout no-sessionid`)

// answers are options about what curl does with the answer.
var answers = set(`cookie-jar create-dirs dump-header etag-save output output-dir out-null
	remote-header-name remote-name remote-name-all remote-time remove-on-error stderr trace
	trace-ascii write-out`)

// reasons say why an option is not kept.
var reasons = map[string]string{
	"insecure":          "certificates are always checked; --cacert FILE names one to trust",
	"compressed":        "penstock asks for no compressed answers",
	"location":          followed,
	"location-trusted":  followed + ", without credentials elsewhere",
	"follow":            followed,
	"max-redirs":        followed,
	"post301":           followed,
	"post302":           followed,
	"post303":           followed,
	"retry":             repeats,
	"retry-all-errors":  repeats,
	"retry-connrefused": repeats,
	"retry-delay":       repeats,
	"retry-max-time":    repeats,
	"parallel":          "penstock finds out how many requests at once the server takes",
	"digest":            onlyBasic,
	"ntlm":              onlyBasic,
	"negotiate":         onlyBasic,
	"anyauth":           onlyBasic,
	"netrc":             "give user and password by -u USER:@FILE",
	"netrc-file":        "give user and password by -u USER:@FILE",
	"netrc-optional":    "give user and password by -u USER:@FILE",
	"aws-sigv4":         "penstock signs nothing; a manifest can have a signed URL for each file",
	"cookie":            "cookies of a file are not read; a header Cookie in --header-file is sent",
	"noproxy":           "the variable NO_PROXY says the same",
	"proxy-user":        "put user and password into the variable HTTPS_PROXY",
	"continue-at":       "a file is sent whole",
	"range":             "a file is sent whole",
}

const (
	followed  = "307 and 308 of the same server are followed; --follow-to HOST adds another"
	repeats   = "penstock repeats what is safe to repeat; --attempts N says how often"
	onlyBasic = "-u is Basic authentication"
)

// set is a set of words.
func set(words string) map[string]bool {
	s := map[string]bool{}
	for _, w := range strings.Fields(words) {
		s[w] = true
	}
	return s
}

// same are options that are flags of penstock.
var same = map[string]string{
	"cacert": "--cacert", "key": "--key", "connect-timeout": "--connect-timeout",
	"max-time": "--timeout", "parallel-max": "--concurrency", "proxy": "-x",
	"socks5": "-x", "socks5-hostname": "-x", "limit-rate": "--bandwidth", "rate": "--rps",
	"cert": "--cert", "http2": "--http2", "http2-prior-knowledge": "--http2",
}

// option translates one of the other options of curl.
func (t *translation) option(o curl.Option) {
	name, value := same[o.Name], o.Value
	switch o.Name {
	case "cert":
		if before, password, found := cutOutside(value, ':'); found && password != "" {
			value = before
			t.note("Not kept: the password of %s: penstock reads a key without one.", o.Spelled)
		}
	case "max-time", "connect-timeout":
		value += "s"
	case "proxy":
		t.proxy(value, "http://")
		return
	case "socks5":
		t.proxy(value, "socks5://")
		return
	case "socks5-hostname":
		t.proxy(value, "socks5h://")
		return
	case "limit-rate":
		if value = bandwidth(value); value == "" {
			name = ""
		}
	case "rate":
		if value = pace(value); value == "" {
			name = ""
		}
	}
	text := strings.TrimSpace(o.Spelled + " " + shownOption(o))
	reason := reasons[o.Name]
	switch {
	case name != "":
		t.add(name, value)
	case quiet[o.Name]:
	case answers[o.Name]:
		t.answers = append(t.answers, text)
	case reason != "":
		t.note("Not kept: %s: %s.", text, reason)
	default:
		t.note("Not kept: %s: penstock has nothing like it.", text)
	}
}

// shownOption is an option's value for a comment; "" if it may be a secret.
func shownOption(o curl.Option) string {
	switch o.Name {
	case "retry", "max-redirs", "output", "write-out", "range", "continue-at", "resolve", "noproxy",
		"interface", "cookie-jar", "dump-header":
		return o.Value
	}
	return ""
}

func (t *translation) proxy(value, scheme string) {
	if !strings.Contains(value, "://") && !strings.HasPrefix(value, curl.Mark) {
		value = scheme + value
	}
	before, host, found := strings.Cut(value, "@")
	user, password, hasPassword := cutOutside(before[strings.Index(before, "://")+len("://"):], ':')
	if !found || !hasPassword || !strings.Contains(before, "://") {
		t.add("-x", value)
		return
	}
	scheme, _, _ = strings.Cut(before, "://")
	t.environment = append(t.environment, setting{"PENSTOCK_SEND_PROXY",
		scheme + "://" + user + ":" + t.secretIn(password) + "@" + host})
}

var (
	speed = lazy.MustCompile(`^(\d+)([kKmMgG]?)$`)
	often = lazy.MustCompile(`^(\d+)(?:/([smh]))?$`)
)

// bandwidth is the value of --limit-rate as penstock has it; "" if it is no such value.
func bandwidth(value string) string {
	m := speed.FindStringSubmatch(value)
	if m == nil {
		return ""
	}
	if m[2] == "" {
		return m[1] + "B/s"
	}
	return m[1] + strings.ToUpper(m[2]) + "iB/s"
}

// pace is the value of --rate as penstock has it; "" if it is no such value.
func pace(value string) string {
	m := often.FindStringSubmatch(value)
	if m == nil {
		return ""
	}
	return m[1] + map[string]string{"": "/h", "h": "/h", "m": "/min", "s": "/s"}[m[2]]
}
