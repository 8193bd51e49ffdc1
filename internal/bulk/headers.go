package bulk

import (
	"regexp"

	"github.com/penstock/penstock/internal/lazy"

	"net/http"
	"slices"
	"strings"

	"github.com/penstock/penstock/internal/conceal"
	"github.com/penstock/penstock/internal/curl"
	"github.com/penstock/penstock/internal/secret"
)

// readHeaders finds the content type of the example.
func (t *translation) readHeaders() {
	switch {
	case t.c.JSON:
		t.contentType = "application/json"
	case len(t.c.Data) > 0:
		t.contentType = formType
	}
	given := false
	for _, h := range t.c.Headers {
		if strings.EqualFold(h.Name, "Content-Type") && !h.Removed {
			t.contentType, given = h.Value, true
		}
	}
	// A text that is JSON is given another note.
	if !given && t.contentType == formType && !t.wholeFile() && isJSON(t.text()) {
		t.contentType = ""
	}
}

// credentials moves tokens and passwords to files.
func (t *translation) credentials() {
	if token := t.c.Bearer; token != "" {
		t.mustFill(token)
		t.add("--bearer-file", t.owned("token", token))
	}
	user := t.c.User
	if user == "" {
		return
	}
	name, password, found := cutOutside(user, ':')
	t.mustFill(name)
	t.mustFill(password)
	switch {
	case found && password != "" && !strings.Contains(name, curl.Mark):
		t.add("-u", name+":@"+t.owned("password", password))
	case found || strings.Contains(user, curl.Mark):
		// The name alone may be the secret, as where an API's key is the user.
		t.add("-u", "@"+t.owned("user", user))
	default:
		t.add("-u", name+":@"+t.prefix+".password")
		t.note("curl asks for the password of -u %s. Write it into the file %s.password.", name,
			t.prefix)
	}
}

// cutOutside is strings.Cut that leaves out what is between Marks.
func cutOutside(s string, sep byte) (before, after string, found bool) {
	marked := false
	for i := range len(s) {
		switch {
		case s[i] == curl.Mark[0]:
			marked = !marked
		case s[i] == sep && !marked:
			return s[:i], s[i+1:], true
		}
	}
	return s, "", false
}

// ownHeaders are those that penstock sets by itself, or has no use for.
var ownHeaders = strings.Fields("connection content-length expect host keep-alive proxy-connection " +
	"te trailer transfer-encoding upgrade accept-encoding")

var uuid = lazy.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)

// sums are headers with a digest of the body.
var sums = map[string]string{
	"content-md5": "{md5_base64}", "x-checksum-md5": "{md5}", "x-checksum-sha256": "{sha256}",
	"x-amz-checksum-sha256": "{sha256_base64}", "x-ms-blob-content-md5": "{md5_base64}",
	"digest": "sha-256={sha256_base64}",
}

// headers translates the headers that are left.
func (t *translation) headers() {
	var hidden []string
	for _, h := range t.c.Headers {
		lower := strings.ToLower(h.Name)
		sum := sums[lower]
		scheme, token, _ := strings.Cut(h.Value, " ")
		switch {
		case lower == "content-type":
			multipart := strings.HasPrefix(h.Value, "multipart/form-data")
			if len(t.c.Form) > 0 && !multipart && !h.Removed {
				t.note("Not kept: -H Content-Type: a form has the type multipart/form-data.")
			}
		case h.Removed && slices.Contains([]string{"expect", "accept", "user-agent"}, lower):
		case h.Removed:
			t.note("Not kept: -H %s:, which takes out a header of curl's.", h.Name)
		case slices.Contains(ownHeaders, lower):
			if lower == "host" || lower == "transfer-encoding" {
				t.note("Not kept: the header %s, which follows from the URL and the file.", h.Name)
			}
		case strings.Contains(lower, "idempotency") && t.c.Method == "POST":
			t.idempotent(h, lower)
		case strings.Contains(lower, "idempotency"),
			uuid.MatchString(h.Value) && strings.HasSuffix(lower, "-id"):
			t.add("-H", h.Name+": {uuid}")
			t.note("%s: each file has a UUID of its own, the same for each attempt.", h.Name)
		case lower == "authorization" && scheme == "Bearer" && t.c.Bearer == "":
			token = strings.TrimSpace(token)
			t.mustFill(token)
			t.add("--bearer-file", t.owned("token", token))
		case lower == "x-amz-content-sha256" && len(h.Value) == 64 && t.file.path != "":
			t.add("-H", h.Name+": {sha256}")
		case sum != "" && t.wholeFile():
			t.add("-H", h.Name+": "+sum)
		case lower == "x-checksum-sha1" && t.wholeFile():
			t.note("Not kept: the header %s: penstock has {sha256} and {md5}.", h.Name)
		case t.isSum(h):
			t.add("-H", h.Name+": "+t.sumValue(h))
		case held(h):
			t.mustFill(h.Value)
			t.mustFill(strings.TrimSpace(token))
			hidden = append(hidden, escape(h.Name+": "+h.Value))
		default:
			t.add("-H", h.Name+": "+t.headerValue(h.Name, h.Value))
		}
	}
	if hidden != nil {
		t.add("--header-file", t.owned("headers", hidden...))
	}
}

// held reports whether a header's value has a secret in it, as penstock judges headers.
func held(h curl.Header) bool {
	literal := strings.ReplaceAll(h.Value, curl.Mark, "")
	set := conceal.New(http.Header{h.Name: {literal}})
	return secret.Held(h.Name, literal) || set.Hide(literal) != literal
}

func (t *translation) headerValue(name, value string) string {
	if t.file.path != "" {
		bare := strings.TrimPrefix(strings.ToLower(name), "x-")
		if as := t.wholeValue(strings.ReplaceAll(bare, "-", "_"), value, inHeader); as != "" {
			t.varies++
			return as
		}
	}
	t.mustFill(value)
	text := t.vary(value, inHeader)
	if at := t.sameKind(text); at != nil && t.wholeFile() && t.varies == 0 {
		t.varies++
		t.note("%s in the header %s is {name} now: else all files would have one name.",
			text[at[0]:at[1]], name)
		text = text[:at[0]] + "{name}" + text[at[1]:]
	}
	return text
}

// sameKind is where a text has the name of a file with the same extension; nil if it has none.
func (t *translation) sameKind(text string) []int {
	ext := t.file.extension()
	if ext == "" || strings.Contains(text, curl.Mark) {
		return nil
	}
	return regexp.MustCompile(`[\w-]+` + regexp.QuoteMeta(ext) + `\b`).FindStringIndex(text)
}

// idempotent has each file sent with a key of its own.
func (t *translation) idempotent(h curl.Header, lower string) {
	bare := !strings.HasPrefix(h.Value, `"`)
	if lower == "idempotency-key" {
		t.add("--idempotent", "")
		if bare {
			t.add("--key-format", "bare")
		}
	} else {
		t.add("--idempotent="+h.Name, "")
		if !bare {
			t.add("--key-format", "quoted")
		}
	}
	t.note("--idempotent: each has a key of its own in %s, the same for each attempt.", h.Name)
}

// secretField finds the names of fields that hold secrets. Names of fields are of many kinds: it
// takes less for a secret than is taken in headers.
var secretField = lazy.MustCompile(`(?i)(^|[_.\]\[-])(token|secret|passw(or)?d|pwd|credentials?|` +
	`api[_-]?key|access[_-]?key|secret[_-]?key|auth[_-]?key|private[_-]?key|signature|jwt)\]?$`)

// camelSecret finds them where the parts of a name begin with a capital.
var camelSecret = lazy.MustCompile(`[a-z](Token|Secret|Password|ApiKey|AccessKey|SecretKey|` +
	`Signature)$|^apiKey$`)

func secretName(name string) bool {
	return secretField.MatchString(name) || camelSecret.MatchString(name)
}

var notLabel = lazy.MustCompile(`[^A-Za-z0-9-]+`)

// label is a part of the name of a file, made from the name of a field.
func label(name string) string {
	if name = strings.Trim(notLabel.ReplaceAllString(name, "-"), "-"); name == "" {
		return "field"
	}
	return name
}
