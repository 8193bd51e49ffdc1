package send

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/dunglas/httpsfv"

	"github.com/penstock/penstock/internal/human"
	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/internal/journal"
	"github.com/penstock/penstock/internal/nethttp"
	"github.com/penstock/penstock/internal/secret"
)

// An identity reports whether two items are the same piece of work, in this run or
// another: the method, the URL, and where that does not say which file it is
// for, the manifest's key or else the file's path and the line's headers. The
// content is no part of it.
//
// Credentials do not count: with a new password, token or signed URL the work goes
// on with the same items. Nor does a key, which is a hash of this and is shown, let
// anybody test guesses of them.
type identity [sha256.Size]byte

// id is what the journal calls the item.
func (i identity) id() uint64 { return binary.BigEndian.Uint64(i[:]) }

// identityOf needs no look at the disk, and so can be asked for each of a
// million items.
func identityOf(it item.Item) identity {
	where, signed := withoutCredentials(it.URL)
	b := make([]byte, 0, 512) // on the stack
	b = appendField(b, it.Method)
	b = appendField(b, where)
	// What was left out may have been all that told two files apart. With the
	// path they stay two, and the worst is that a file is sent again from
	// elsewhere.
	if signed || nethttp.SharesURL(it.Method) {
		if it.Key != "" {
			b = append(b, 'k')
			b = appendField(b, it.Key)
		} else {
			b = append(b, 'p')
			b = appendField(b, absolute(it.Path))
			b = appendHeader(b, it.Header)
		}
	}
	return sha256.Sum256(b)
}

// appendField puts the length before a text, so that no two lists of texts look
// the same.
func appendField(b []byte, text string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(text))), text...)
}

// appendHeader appends the headers that tell items apart.
func appendHeader(b []byte, h http.Header) []byte {
	if len(h) == 0 {
		return b // without the allocations of sorting
	}
	for _, name := range slices.Sorted(maps.Keys(h)) {
		if isLeftOut(name, h[name]) {
			continue
		}
		b = appendField(b, name)
		b = binary.AppendUvarint(b, uint64(len(h[name])))
		for _, v := range h[name] {
			b = appendField(b, v)
		}
	}
	return b
}

// isLeftOut reports whether a header tells nothing of an item: it is a credential, or changes from run to run.
func isLeftOut(name string, values []string) bool {
	return slices.Contains(dateHeaders, name) || isCredential(name) || slices.ContainsFunc(values, isAuthorization)
}

// dateHeaders say when a request is sent, as signature schemes do.
var dateHeaders = []string{"Date", "X-Amz-Date", "X-Goog-Date", "X-Ms-Date"}

// credentialParts are the last parts of names of credentials.
var credentialParts = []string{"auth", "bearer", "cookie", "csrf", "jwt", "otp", "pass", "pin", "pwd", "session", "sid", "signature", "xsrf"}

// credentialWords also end a part, as in AccessToken.
var credentialWords = []string{
	"accesskey", "apikey", "authentication", "authkey", "authorization", "credential", "credentials", "oauth", "passcode", "passphrase", "passwd",
	"password", "pincode", "privatekey", "secret", "secretkey", "sessid", "sessionid", "token",
}

// credentialKeys stand before a "Key" that is a credential.
var credentialKeys = []string{
	"access", "account", "admin", "app", "application", "auth", "authentication", "authorization", "consumer", "developer", "encryption", "functions", "license",
	"master", "private", "secret", "security", "session", "shared", "signature", "signing", "subscription",
}

// variants stand behind the name of a credential, without their digits, as in X-Hub-Signature-256.
var variants = []string{"", "basic", "code", "ed", "hmac", "md", "sha", "v", "value"}

// isCredential reports whether a header is a credential by the last parts of its name. Of the names that are kept out of messages
// these are a few: there it does no harm to hide too much, but of two items that are taken for one, one is lost.
func isCredential(header string) bool {
	if !secret.Named(header) {
		return false
	}
	parts := strings.FieldsFunc(strings.ToLower(header), func(r rune) bool { return r == '-' || r == '_' || r == '.' })
	for n := len(parts) - 1; n >= 0; n-- {
		last := strings.TrimRight(parts[n], "0123456789")
		before := ""
		if n > 0 {
			before = parts[n-1]
		}
		switch {
		case last == "key":
			return slices.Contains(credentialKeys, before) || strings.HasSuffix(before, "api") || slices.Contains(parts[:n], "encryption")
		case last == "id" && before == "session", last == "code" && before == "access", slices.Contains(credentialParts, last):
			return true
		case slices.ContainsFunc(credentialWords, func(word string) bool { return strings.HasSuffix(last, word) }):
			return true
		case last == "id" && before == "key", last == "input" && before == "signature", slices.Contains(variants, last):
			// It goes with what stands before it.
		default:
			return false
		}
	}
	return false
}

// isAuthorization reports whether a header's value is a credential by its form, which is that of Authorization. A text that begins
// with the name of such a scheme is none.
func isAuthorization(value string) bool {
	scheme, rest, _ := strings.Cut(strings.TrimSpace(value), " ")
	rest = strings.TrimSpace(rest)
	switch strings.ToLower(scheme) {
	case "basic":
		pair, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(rest, "="))
		return err == nil && slices.Contains(pair, ':')
	case "bearer", "negotiate":
		return rest != "" && !strings.Contains(rest, " ")
	case "digest":
		return strings.Contains(rest, "response=")
	}
	return false
}

// A scheme is a way to put a credential into a URL's query.
type scheme struct {
	by   []string // the parameters that it is known by, if all of them are there
	with []string // others of it, which alone may mean anything
}

// schemes are those that change from run to run. Not among them are
// names that mean a credential to some and an item to others, such as key, code
// and id, and a signature that stands alone: what it signs, such as the time, is
// beside it under a name that nobody knows. An item too many is sent again; of
// two that are taken for one, one is lost.
var schemes = []scheme{
	{by: []string{"X-Amz-Signature"}, with: []string{
		"X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date", "X-Amz-Expires", "X-Amz-Security-Token", "X-Amz-SignedHeaders",
	}},
	{by: []string{"X-Goog-Signature"}, with: []string{
		"X-Goog-Algorithm", "X-Goog-Credential", "X-Goog-Date", "X-Goog-Expires", "X-Goog-SignedHeaders",
	}},
	{by: []string{"X-Oss-Signature"}, with: []string{
		"X-Oss-Signature-Version", "X-Oss-Credential", "X-Oss-Date", "X-Oss-Expires", "X-Oss-Security-Token", "X-Oss-Additional-Headers",
	}},
	// The second versions of AWS and Google, others that copied them, CloudFront
	// with one of its own policies, Laravel.
	{by: []string{"Signature", "Expires"}, with: []string{
		"AWSAccessKeyId", "GoogleAccessId", "OSSAccessKeyId", "Key-Pair-Id", "X-Amz-Security-Token", "Security-Token",
	}},
	{by: []string{"Signature", "Key-Pair-Id"}, with: []string{"Policy", "Hash-Algorithm"}},
	// Azure's shared access signatures: of a service, an account, a user.
	{by: []string{"sig", "sv"}, with: []string{
		"se", "st", "sp", "sr", "spr", "sip", "si", "ss", "srt", "sdd", "ses",
		"skoid", "sktid", "skt", "ske", "sks", "skv", "saoid", "suoid", "scid", "sduoid", "skdutid",
	}},
}

// tokens stand in a query by themselves.
var tokens = alone("access_token", "accesstoken", "token", "auth_token", "authtoken", "api_token", "private_token", "refresh_token", "id_token", "session_token",
	"api_key", "apikey", "api-key", "x-api-key", "access_key", "accesskey", "secret_key", "secretkey", "subscription-key",
	"password", "passwd", "pwd", "passphrase", "secret", "client_secret", "authorization", "jwt")

func alone(names ...string) (schemes []scheme) {
	for _, name := range names {
		schemes = append(schemes, scheme{by: []string{name}})
	}
	return schemes
}

// JournalTarget returns the URL that a journal is named by. The name is shown, and
// has a hash of this: so no value of the query counts that is the same for all
// items, for any of them may be a secret. A parameter without a value may be one as
// a whole. The path of a manifest is left as it is.
func JournalTarget(to string) string {
	if !strings.Contains(to, "://") {
		return to
	}
	to, _ = withoutCredentials(to)
	where, query, _ := strings.Cut(to, "?")
	mark := "?"
	for pair := range strings.SplitSeq(query, "&") {
		if !strings.Contains(pair, "{") {
			name, value, _ := strings.Cut(pair, "=")
			if strings.Trim(value, "=") == "" {
				continue
			}
			pair = name
		}
		where += mark + pair
		mark = "&"
	}
	return where
}

var credentials = slices.Concat(schemes, tokens)

// withoutCredentials returns a URL, or a template of URLs, without its password and
// without the parameters of its query that are credentials, and whether there were
// any of these.
func withoutCredentials(rawURL string) (string, bool) {
	where, query, found := strings.Cut(rawURL, "?")
	where = withoutPassword(where)
	if !found {
		return where, false
	}
	var drop []string
	for _, s := range credentials {
		if !slices.ContainsFunc(s.by, func(name string) bool { return !hasParameter(query, name) }) {
			drop = slices.Concat(drop, s.by, s.with)
		}
	}
	if drop == nil {
		return where + "?" + query, false
	}
	mark := "?"
	for pair := range strings.SplitSeq(query, "&") {
		name, _, _ := strings.Cut(pair, "=")
		if !slices.ContainsFunc(drop, func(other string) bool { return strings.EqualFold(name, other) }) {
			where += mark + pair
			mark = "&"
		}
	}
	return where, true
}

// withoutPassword returns a URL that has no query with the user of it, who says whose
// the items are, and without the password. A user without a password is a token.
func withoutPassword(rawURL string) string {
	scheme, rest, found := strings.Cut(rawURL, "://")
	end := strings.IndexByte(rest, '/')
	if end < 0 {
		end = len(rest)
	}
	at := strings.LastIndexByte(rest[:end], '@')
	if !found || at < 0 {
		return rawURL
	}
	user, password, _ := strings.Cut(rest[:at], ":")
	if user == "" || password == "" || password == "x-oauth-basic" { // as GitHub and others have it
		return scheme + "://" + rest[at+1:]
	}
	return scheme + "://" + user + rest[at:]
}

// hasParameter reports whether a query has a value of that name, in any case.
func hasParameter(query, name string) bool {
	for pair := range strings.SplitSeq(query, "&") {
		if n := len(name); len(pair) > n && pair[n] == '=' && strings.EqualFold(pair[:n], name) {
			return true
		}
	}
	return false
}

// fingerprintOf is equal to the one on record if an item's file, and what its line says of it, are what was sent. Files of equal
// size and date, as archives have them, differ by where they are; one that has a key of its
// own may be anywhere.
func fingerprintOf(it item.Item) journal.Fingerprint {
	f := journal.Fingerprint{Size: it.Size, ModTime: it.ModTime}
	if it.Key == "" {
		place := []byte(absolute(it.Path))
		if header := headerOf(it); header != nil {
			place = append(append(place, 0), header...) // no path has this byte
		}
		sum := sha256.Sum256(place)
		f.Place = binary.BigEndian.Uint64(sum[:])
	}
	return f
}

// headerOf returns the line's headers where they may change while the identity stays; nil if there are none.
func headerOf(it item.Item) []byte {
	if it.Key != "" || nethttp.SharesURL(it.Method) {
		return nil
	}
	return appendHeader(nil, it.Header)
}

var workingDirectory = sync.OnceValues(os.Getwd)

// absolute is filepath.Abs without asking the system each time.
func absolute(path string) string {
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	// On Windows \a and C:a are neither absolute nor below the working directory.
	if path == "" || filepath.VolumeName(path) != "" || os.IsPathSeparator(path[0]) {
		if abs, err := filepath.Abs(path); err == nil {
			return abs
		}
		return path
	}
	dir, err := workingDirectory()
	if err != nil {
		return filepath.Clean(path) // nor could the file be opened
	}
	return filepath.Join(dir, path)
}

// idempotencyKey makes the key of an item with a given content: the SHA-256 in
// digest where it is known, else by size and time of change. It is a UUID of
// version 8, the same at each attempt, after a restart and on another machine
// where the file has the same path, and another one once the content is another.
//
// With and without a digest the keys differ, so a key that the journal has for
// the same fingerprint is the one to use.
func idempotencyKey(id identity, size int64, modTime time.Time, digest []byte) string {
	b := make([]byte, 0, 128)
	b = append(b, id[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(size))
	if len(digest) > 0 {
		b = append(b, 'd')
		b = append(b, digest...)
	} else {
		b = append(b, 't')
		b = binary.BigEndian.AppendUint64(b, uint64(modTime.Unix())) // UnixNano does not reach all times
		b = binary.BigEndian.AppendUint32(b, uint32(modTime.Nanosecond()))
	}
	u := sha256.Sum256(b)
	u[6] = u[6]&0x0f | 8<<4 // version, RFC 9562
	u[8] = u[8]&0x3f | 2<<6 // variant
	return fmt.Sprintf("%x-%x-%x-%x-%x", u[:4], u[4:6], u[6:8], u[8:10], u[10:16])
}

// formatKey returns a key as its header is to have it: a string of RFC 8941, in
// quotes, or bare. Only a key from a manifest can fail.
func formatKey(key string, bare bool) (string, error) {
	if bare {
		return key, nil
	}
	if n := len(key); n >= 2 && key[0] == '"' && key[n-1] == '"' { // somebody has done it already
		return key, nil
	}
	quoted, err := httpsfv.Marshal(httpsfv.NewItem(key))
	if errors.Is(err, httpsfv.ErrInvalidStringFormat) {
		return "", fmt.Errorf("the key %s cannot be sent in quotes, which take ASCII only: use another key, or --key-format bare", human.Printable(key))
	}
	return quoted, err
}
