package bulk

import (
	"github.com/penstock/penstock/internal/lazy"

	"strings"
	"unicode"

	"github.com/penstock/penstock/internal/conceal"
	"github.com/penstock/penstock/internal/curl"
)

// presigned finds URLs that are signed for one object.
var presigned = lazy.MustCompile(`[?&](X-Amz-Signature|X-Goog-Signature|X-Oss-Signature|Signature)=` +
	`|[?&]sr=b&`)

// readURL makes a template of the URL.
func (t *translation) readURL() {
	u, _, _ := strings.Cut(t.url, "#")
	if !strings.Contains(u, "://") && !strings.HasPrefix(u, curl.Mark) {
		u = "http://" + u
	}
	where, query, hasQuery := strings.Cut(u, "?")
	scheme, rest, found := strings.Cut(where, "://")
	if found {
		scheme += "://"
	} else {
		scheme, rest = "", where
	}
	authority, path, hasPath := strings.Cut(rest, "/")
	if at := strings.LastIndexByte(authority, '@'); at >= 0 {
		if t.c.User == "" {
			t.c.User = decoded(authority[:at])
		}
		authority = authority[at+1:]
	}
	if hasPath || found {
		authority += "/"
	}
	if t.wholeFile() && presigned.MatchString(t.url) {
		t.presigned(scheme + authority + path + "?" + query)
		return
	}
	secret := false
	before := t.varies
	segments := strings.Split(path, "/")
	for i, s := range segments {
		segments[i] = t.segment(s, i == len(segments)-1, &secret)
	}
	if last := &segments[len(segments)-1]; t.wholeFile() && t.c.Method == "PUT" {
		name, _, _ := strings.Cut(*last, "?")
		switch {
		case t.c.Upload != "" && *last == "" && !strings.HasSuffix(u, curl.Mark):
			*last = "{name}" // curl adds it
			t.varies++
		case t.varies == before && fileName.MatchString(name):
			*last = "{name}"
			t.varies++
			t.note("%s at the end of the URL is {name} now: else all files would go to one URL.",
				name)
		}
	}
	if t.wholeFile() {
		if t.method = "POST"; t.varies > before {
			t.method = "PUT"
		}
	}
	to := scheme + authority + strings.Join(segments, "/")
	if hasQuery {
		to += "?" + t.query(query, &secret)
	}
	if secret {
		t.environment = append(t.environment, setting{"PENSTOCK_SEND_TO", to})
		t.note("PENSTOCK_SEND_TO is --to: the URL has a secret, and others can see command lines.")
		return
	}
	t.add("--to", to)
}

// presigned sends to URLs of a manifest, for each is for one file.
func (t *translation) presigned(u string) {
	t.record = `{"path": ` + jsonString(t.file.path) + `, "url": ` + jsonString(u) + `}`
	t.add("--manifest", manifestName)
	t.method = "POST"
	t.note("The URL is signed for one object. Many files: a line of %s for each, with a URL that "+
		"is signed for it.", manifestName)
}

var (
	oneGlob    = lazy.MustCompile(`\{([^{},]*)\}`)
	listGlob   = lazy.MustCompile(`\{([^{},]*),[^{}]*\}`)
	rangeGlob  = lazy.MustCompile(`\[(\w+)-\w+(?::\d+)?\]`)
	colonParam = lazy.MustCompile(`^:[A-Za-z_]+$`)
	botToken   = lazy.MustCompile(`^bot(\d{5,}:[\w-]{10,})$`)
	longToken  = lazy.MustCompile(`^[A-Za-z0-9_-]{24,}$`)
)

// segment returns a segment of the URL's path as a template.
func (t *translation) segment(s string, last bool, secret *bool) string {
	if t.file.path != "" {
		as := t.wholeValue("", decoded(s), inURL)
		if as != "" && (last || as == "{name}") {
			t.varies++
			return as
		}
	}
	s = t.unglob(s)
	if colonParam.MatchString(s) {
		t.fillIns = append(t.fillIns, s)
	}
	t.mustFill(s)
	token := ""
	switch {
	case botToken.MatchString(s):
		token = strings.TrimPrefix(s, "bot")
	case t.hasSum(s): // it is no secret
	case longToken.MatchString(s) && mixed(s):
		token = s
	case strings.Contains(s, curl.Mark) && secretText.MatchString(s):
		*secret = true
	}
	if token != "" {
		*secret = true
		return strings.TrimSuffix(s, token) + t.secretIn(token)
	}
	if !t.hasSum(s) {
		t.noteSum(s)
	}
	return t.vary(s, inURL)
}

// secretText finds variables of the shell that by their name hold a secret.
var secretText = lazy.MustCompile(`(?i)token|key|secret|pass`)

// secretIn moves a secret to a file, and returns what stands for it in a text for the shell.
func (t *translation) secretIn(secret string) string {
	if strings.Contains(secret, curl.Mark) {
		return secret // it is in a variable already
	}
	return curl.Mark + "$(cat " + word(t.owned("secret", secret)) + ")" + curl.Mark
}

// mixed reports whether a text is as random ones are: with letters in both cases and digits.
func mixed(s string) bool {
	return strings.ContainsFunc(s, unicode.IsDigit) && strings.ContainsFunc(s, unicode.IsLower) &&
		strings.ContainsFunc(s, unicode.IsUpper)
}

// unglob returns what curl makes of {} and [] in a URL, the first of them.
func (t *translation) unglob(s string) string {
	if !t.c.Globs || strings.Contains(s, curl.Mark) {
		return s
	}
	for _, m := range oneGlob.FindAllString(s, -1) {
		t.fillIns = append(t.fillIns, m[1:len(m)-1]+" in the URL")
	}
	s = oneGlob.ReplaceAllString(s, "$1")
	if several := listGlob.MatchString(s) || rangeGlob.MatchString(s); several {
		t.note("%s in the URL stands for several URLs. The command has the first.", s)
		s = rangeGlob.ReplaceAllString(listGlob.ReplaceAllString(s, "$1"), "$1")
	}
	return s
}

// query returns the URL's query as a template.
func (t *translation) query(query string, secret *bool) string {
	pairs := strings.Split(query, "&")
	_, scheme := conceal.WithoutCredentials("http://h/?" + query)
	for i, pair := range pairs {
		name, value, found := strings.Cut(pair, "=")
		if !found {
			pairs[i] = t.vary(t.unglob(pair), inURL)
			continue
		}
		hidden := secretName(name) || scheme == "sig" && name == "sig" ||
			strings.EqualFold(name, "key") && !strings.ContainsAny(decoded(value), "/.") &&
				t.nameIn(value) < 0 && !t.hasSum(value)
		if hidden {
			*secret = true
		}
		as := ""
		if t.file.path != "" {
			as = t.wholeValue(name, decoded(value), inURL)
		}
		switch {
		case as != "":
			t.varies++
		case hidden && !fillIn.MatchString(value):
			as = t.secretIn(value)
		default:
			value = t.unglob(value)
			t.mustFill(value)
			as = t.vary(value, inURL)
		}
		pairs[i] = name + "=" + as
	}
	return strings.Join(pairs, "&")
}

// hideURL is a URL for a comment.
func hideURL(u string) string {
	return conceal.URL(strings.ReplaceAll(u, curl.Mark, ""))
}
