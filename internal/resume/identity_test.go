package resume

import (
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/conceal"
	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/internal/secret"
	"github.com/penstock/penstock/internal/template"
)

// Journals outlive the program that wrote them: what it said of an item then must be said of it
// now.
func TestIdentityStays(t *testing.T) {
	if filepath.Separator != '/' {
		t.Skip("the path is another one here")
	}
	put := item.Item{Method: "PUT", URL: "https://h/a%20b?v=1", Path: "/d/a b"}
	post := item.Item{Method: "POST", URL: "https://h/", Path: "/d/a b"}
	post.Header = http.Header{"X-Set": {"1"}}
	keyed := item.Item{Method: "POST", URL: "https://h/", Path: "/d/a b", Key: "k-1"}
	for _, c := range []struct {
		it        item.Item
		want, key string
	}{
		{put, "a2d54f400fcd51df98e30d759a47bb0efe68098caaefa4faad27da753529bd50",
			"b9004058-076f-8d5f-ab19-8fc849145bfe"},
		{post, "5ed6ceb85874f5effadc08cbe56d1efd1061ac721620f292123cf3ec30488623",
			"e0301da7-db0b-8487-854f-28d9f11bdb95"},
		{keyed, "d176e634916b17a9080af7e5d8dd3d8200ceda814c272e39e595250aa7bc245d",
			"1c3d9ea0-ba0a-865b-a437-002a93a744f4"},
	} {
		id := IdentityOf(c.it)
		got := hex.EncodeToString(id[:])
		if got != c.want || fmt.Sprintf("%016x", id.ID()) != c.want[:16] {
			t.Errorf("%+v: %s, %x, want %s", c.it, got, id.ID(), c.want)
		}
		if got := makeKey(id, 5, time.Unix(1e9, 1), nil); got != c.key {
			t.Errorf("%+v: key %s, want %s", c.it, got, c.key)
		}
	}
}

func TestIdentity(t *testing.T) {
	for _, c := range []struct {
		a, b string
		same bool
	}{
		{"PUT /a x", "PUT /a y A:b", true},
		{"PUT /a key=1", "PUT /a key=2", true},
		{"PUT /a", "MKCOL /a", false},
		{"POST /a x", "PATCH /a x", false},
		{"PUT /a", "PUT /b", false},
		{"PUT /a", "PUT http://g/a", false},
		{"PUT http://h/a", "PU Thttp://h/a", false},

		{"POST / x", "POST / y", false},
		{"POST / x", "POST / ./d/../x", true},
		{"POST / d/x", "POST / HERE/d/x", true},
		{"POST / ../x", "POST / HERE/../x", true},
		{"POST / \xff", "POST / \xfe", false},
		{"POST / x key=1", "POST / x key=2", false},
		{"POST / x key=1", "POST / y key=1 A:b", true},
		{"POST / /x", "POST / key=/x", false},

		{"POST / line=1", "POST / line=2", false},
		{"POST / line=1 a", "POST / line=1 b", true}, // a name for people
		{"POST / line=1 key=1", "POST / line=2 key=1", true},
		{"PUT /a line=1", "PUT /a line=2", true},
		{"POST / x rest=1", "POST / x rest=2", true},

		{"POST / X-Set:1", "POST / X-Set:2", false},
		{"POST / X-Set:1", "POST /", false},
		{"POST / A:b C:d", "POST / A:b A:C A:d", false},
		{"POST / A:b C:d", "POST / C:d A:b", true},
		{"POST / Authorization:1 X-Api-Key:1", "POST /", true},
		{"POST / Authorization:1 X-Set:1", "POST / Authorization:1 X-Set:2", false},

		{"PUT /a?v=1", "PUT /a?v=2", false},
		{"PUT /a?v", "PUT /a?w", false},
		{"PUT /a?token", "PUT /a", false},
		{"PUT /a?", "PUT /a", false},
		{"POST /?token=1&v=1", "POST /?v=1&TOKEN=2", true},
		{"POST /?token=1&v=1", "POST /?token=1&v=2", false},
		{"PUT /?token=1 x", "PUT /?token=2 y", false}, // the path may be all that tells them apart
		{"PUT /?token=1 x key=1", "PUT /?token=2 x key=2", false},
		{"PUT /?tokens=1&xtoken=1", "PUT /?tokens=2&xtoken=1", false},
		{"PUT /a?access_token=1", "PUT /a?access_token=2", true},
		{"PUT /a?api_key=1", "PUT /a?api_key=2", true},
		{"PUT /a?key=1", "PUT /a?key=2", false}, // may be an object's in S3

		{"POST https://ann:old@h/f", "POST https://ann:new@h/f", true},
		{"POST https://ann:old@h/f", "POST https://bob:old@h/f", false},
		{"POST https://ann:old@h/f", "POST https://h/f", false},
		{"POST https://token1@h/f", "POST https://token2:@h/f", true},
		{"POST /f?password=a", "POST /f?Password=b", true},
		{"POST /f?subscription-key=a&v=1", "POST /f?v=1", true},

		{"PUT /a?AWS1", "PUT /a?AWS2&X-Amz-Security-Token=2", true},
		{"PUT /a?AWS1", "PUT /b?AWS1", false},
		{"PUT /a?partNumber=1&AWS1", "PUT /a?partNumber=2&AWS1", false},
		{"PUT /a?X-Amz-Date=1", "PUT /a?X-Amz-Date=2", false}, // not signed
		{"PUT /?X-Goog-Date=1&X-Goog-Signature=1", "PUT /?X-Goog-Date=2&X-Goog-Signature=2", true},
		{"PUT /a?Expires=1&Signature=1&Key-Pair-Id=1",
			"PUT /a?Policy=2&Signature=2&Key-Pair-Id=2", true},
		{"PUT /a?AWSAccessKeyId=1&Expires=1&Signature=1",
			"PUT /a?AWSAccessKeyId=1&Expires=2&Signature=2", true},
		{"PUT /a?expires=1", "PUT /a?expires=2", false},
		{"PUT /a?signature=1", "PUT /a?signature=2", false},
		{"PUT /a?policy=1&expires=1&signature=1", "PUT /a?policy=2&expires=1&signature=1", false},
		{"PUT /a?AZURE1", "PUT /a?AZURE2", true},
		{"PUT /a?comp=block&blockid=1&AZURE1", "PUT /a?comp=block&blockid=2&AZURE1", false},
		{"PUT /a?sp=1&st=1&sig=1", "PUT /a?sp=2&st=1&sig=1", false}, // Azure's names, of others
	} {
		a, b := IdentityOf(of(t, c.a)), IdentityOf(of(t, c.b))
		if (a == b) != c.same || (a.ID() == b.ID()) != c.same {
			t.Errorf("%s and %s: the same %v, want %v", c.a, c.b, a == b, c.same)
		}
	}
}

var shorthands = strings.NewReplacer(
	"AWS1", aws("1"), "AWS2", aws("2"), "AZURE1", azure("1"), "AZURE2", azure("2"))

func aws(by string) string {
	return strings.ReplaceAll("X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=*&X-Amz-Date=*&"+
		"X-Amz-Expires=900&X-Amz-SignedHeaders=host&X-Amz-Signature=*", "*", by)
}

func azure(by string) string {
	return strings.ReplaceAll("sv=2024-11-04&ss=b&srt=o&sp=rw&st=*&se=*&"+
		"spr=https&skoid=*&sig=*", "*", by)
}

// of makes an item of a method, a URL, and perhaps a path, a key and headers.
func of(t testing.TB, words string) item.Item {
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	it := item.Item{Fingerprint: item.Fingerprint{Size: 5, ModTime: time.Unix(1e9, 1)}}
	for i, word := range strings.Fields(words) {
		name, value, header := strings.Cut(word, ":")
		key, isKey := strings.CutPrefix(word, "key=")
		switch {
		case i == 0:
			it.Method = word
		case i == 1:
			if it.URL = shorthands.Replace(word); word[0] == '/' {
				it.URL = "http://h" + it.URL
			}
		case isKey:
			it.Key = key
		case strings.HasPrefix(word, "line="):
			it.Hash = word
		case strings.HasPrefix(word, "rest="):
			it.Rest, _ = strconv.ParseUint(word[len("rest="):], 10, 64)
		case header:
			if it.Header == nil {
				it.Header = make(http.Header)
			}
			it.Header.Add(name, value)
		default:
			it.Path = strings.ReplaceAll(word, "HERE", here)
		}
	}
	return it
}

// Files of equal size and date are told apart by where they are, and by what their lines say.
func TestFingerprint(t *testing.T) {
	base := of(t, "PUT /f /d/f")
	for words, same := range map[string]bool{
		"PUT /f /d/f":                     true,
		"PUT /f /e/../d/f":                true,
		"PUT /f /e/f":                     false,
		"PUT /f /d/f Content-Language:en": false,
		"PUT /f /d/f X-Api-Key:1":         true,
		"POST /f /d/f A:b":                true, // the header makes another identity
		"PUT /f /d/f key=1":               false,
		"PUT /f /d/f rest=1":              false,
		"POST /f /d/f rest=1":             false,
	} {
		if f := FingerprintOf(of(t, words)); (f == FingerprintOf(base)) != same {
			t.Errorf("%s: %+v, and %+v before", words, f, FingerprintOf(base))
		}
	}
	if FingerprintOf(of(t, "PUT /f /d/f key=1")) != FingerprintOf(of(t, "PUT /f /e/f key=1 A:b")) {
		t.Error("a file with a key may be anywhere")
	}
	for _, words := range []string{"POST / a", "POST / a key=1", "POST / line=1",
		"PUT / a X-A:b"} {
		if FingerprintOf(of(t, words+" rest=1")) == FingerprintOf(of(t, words+" rest=2")) {
			t.Errorf("%s: what is sent beside the file does not count", words)
		}
	}
	if FingerprintOf(of(t, "PUT /f line=1")) != FingerprintOf(of(t, "PUT /f line=2")) {
		t.Error("a field of a line counts that is not sent")
	}
	header := of(t, "PUT /f line=1 Content-Language:en")
	field := of(t, "PUT /f line=1")
	field.Fields = template.Fields{"sku": {Text: "1"}}
	for _, it := range []item.Item{header, field} {
		if FingerprintOf(it) == FingerprintOf(of(t, "PUT /f line=1")) {
			t.Errorf("%v, %v: what a line without a file says does not count", it.Header, it.Fields)
		}
		moved := it
		moved.Path, moved.Hash = "line 7", "line=2"
		if FingerprintOf(it) != FingerprintOf(moved) {
			t.Error("the place of a line counts")
		}
	}
	resized, touched := base, base
	resized.Size++
	touched.ModTime = touched.ModTime.Add(1)
	if f := FingerprintOf(base); f == FingerprintOf(resized) || f == FingerprintOf(touched) {
		t.Error("size and date do not count")
	}
}

func TestUUID(t *testing.T) {
	a, b := IdentityOf(of(t, "POST / /a")).UUID(), IdentityOf(of(t, "POST / /b")).UUID()
	if !regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`).
		MatchString(a) || a == b || a != IdentityOf(of(t, "POST / /a rest=7")).UUID() {
		t.Errorf("%s and %s", a, b)
	}
}

func TestAbsolute(t *testing.T) {
	for _, path := range []string{
		"a", "./a", "a/../b", "..", "../..", "/a", "/a/../b", ".", "", "a/", `\a`, "C:a", `C:\a`,
		"a\x00b", strings.Repeat("a/", 3000),
	} {
		want, err := filepath.Abs(path)
		if got := absolute(path); err == nil && got != want {
			t.Errorf("%q: %q, want %q", path, got, want)
		}
	}
}

func TestIdentityIsCheap(t *testing.T) {
	for name, it := range map[string]item.Item{
		"PUT":  of(t, "PUT https://files.example.com/2024/sub/00001.csv d/00001.csv"),
		"POST": of(t, "POST https://files.example.com/ /srv/data/2024/sub/00001.csv"),
	} {
		if n := testing.AllocsPerRun(100, func() { IdentityOf(it) }); n > 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

// The identity is shown, as an idempotency key: it depends on no credential, or guesses of it could
// be tested. Everything else tells items apart, also what is kept out of messages to be on the safe
// side.
func TestIdentityHasNoSecrets(t *testing.T) {
	of := func(name, value string) Identity {
		h := http.Header{name: {value}}
		return IdentityOf(item.Item{Method: "POST", URL: "http://h/", Header: h})
	}
	for _, name := range []string{
		"Authorization", "Proxy-Authorization", "X-Authentication", "X-Auth", "X-Oauth",
		"X-Auth-Pass", "X-Bearer", "X-Credentials", "Cookie", "Cookie2", "X-Session",
		"X-Session-Id", "Sessionid", "X-Sid", "X-Csrf-Token", "X-Xsrf-Token", "Token",
		"Private-Token", "X-Amz-Security-Token", "X-Hub-Token", "X-Session-Token", "X-Token-2",
		"Accesstoken", "X-Authtoken", "X-Access-Token-V2", "X-Secret", "X-Client-Secret",
		"X-Password", "X-Userpassword", "X-Passphrase", "X-Passcode", "X-Pin", "X-Pin-Code",
		"X-Access-Code", "X-Otp", "X-Jwt", "X-Auth-Basic", "X-Secret-Value", "X-Signature",
		"X-Hub-Signature-256", "X-Signature-Ed25519", "X-Signature-Sha256", "Signature-Input",
		"X-Api-Key", "Api_key", "Apikey", "X-Apikey", "X-Mbx-Apikey", "X-Rapidapi-Key",
		"X-Goog-Api-Key", "Dd-Api-Key", "Dd-Application-Key", "X-Api-Key-2",
		"Ocp-Apim-Subscription-Key", "X-Functions-Key", "X-Master-Key", "X-License-Key",
		"X-Auth-Key", "X-Secretkey", "X-Access-Key", "X-Access-Key-Id", "X-Ms-Encryption-Key",
		"X-Amz-Server-Side-Encryption-Customer-Key",
		"X-Amz-Server-Side-Encryption-Customer-Key-Md5",
	} {
		if of(name, "1234") != of(name, "5678") {
			t.Errorf("%s counts", name)
		}
		if !secret.Held(name, "1234") {
			t.Errorf("%s is a credential, and is not kept out of messages", name)
		}
	}
	for _, name := range []string{
		"X-Set", "Content-Language", "X-User-Id", "X-Account", "X-Account-Id", "X-Access-Id",
		"X-Access-Level", "X-Private", "X-Sidecar", "Idempotency-Key", "X-Idempotency-Key",
		"X-Idempotency-Token", "X-Author", "X-Authority", "X-Auth-User", "X-Secretary",
		"X-Passenger", "X-Bypass", "X-Spin", "X-Key", "X-Object-Key", "X-Object-Key-2",
		"X-Object-Key-Id", "X-Object-Key-Value", "X-Author-Code", "X-Partition-Key", "X-Row-Key",
		"X-Key-Version", "X-Monkey", "X-Design-Id", "X-Sign", "X-Signature-Version",
		"X-Token-Count", "X-Token-Input", "X-Session-Topic", "X-Possession", "X-Amz-Content-Sha256",
		"-", "",
	} {
		if of(name, "1234") == of(name, "5678") {
			t.Errorf("%s does not count", name)
		}
	}
	for _, c := range []struct {
		name, a, b string
		same       bool
	}{
		{"X-Amz-Date", "20260301T120000Z", "20260302T120000Z", true},
		{"X-Forward", "Bearer 1234", "bearer  5678", true},
		{"X-Forward", "Basic dTpw", "Basic dTpxcQ==", true},
		{"X-Forward", `Digest nonce="n", response="1"`, `Digest nonce="n", response="2"`, true},
		{"X-Title", "Basic Algebra", "Basic Geometry", false},
		{"X-Title", "Basic Algebra", "Basic Calculus", false},
		{"X-Title", "Digest of May", "Digest of June", false},
		{"X-Title", "Bearer of good news", "Bearer of bad news", false},
		{"X-Title", "Bearer", "Basic", false},
	} {
		if (of(c.name, c.a) == of(c.name, c.b)) != c.same {
			t.Errorf("%s of %q and %q: the same item is %v", c.name, c.a, c.b, !c.same)
		}
	}
}

// Values that are no credentials tell items apart, and credentials do not, whatever stands in
// either.
func FuzzIdentity(f *testing.F) {
	f.Add("a", "b", "v", "1", "2", "x", uint8(0))
	f.Add("a/b", "a%2Fb", "token", "1&token=2", "?", "d/x", uint8(1))
	f.Add("", "?", "sig", "&sv=1", "\xff", "\x00", uint8(0xff))
	given := []string{
		"access_token=%s", "sv=1&sig=%s", "Expires=%s&Signature=%[1]s",
		"X-Amz-Date=%s&X-Amz-Signature=%[1]s",
	}
	f.Fuzz(func(t *testing.T, a, b, name, v, w, path string, mode uint8) {
		method, signed := []string{"PUT", "POST"}[mode&1], given[mode>>1&3]
		of := func(seg, value, credential string) item.Item {
			u := "https://h/" + url.PathEscape(seg) + "?" + url.QueryEscape(name) + "=" +
				url.QueryEscape(value)
			if credential != "" {
				u += "&" + fmt.Sprintf(signed, url.QueryEscape(credential))
			}
			return item.Item{Method: method, URL: u, Path: path}
		}
		IdentityOf(item.Item{Method: a, URL: b, Path: path, Key: name, Header: http.Header{v: {w}}})
		IdentityOf(item.Item{Method: method, URL: a + "?" + v + "&" + w, Path: path})

		if IdentityOf(of(a, v, "1")) != IdentityOf(of(a, v, "22")) {
			t.Error("another credential makes another item")
		}
		for _, pairs := range append(given, "v=%s") { // the name may be one of a signature's
			pairs = fmt.Sprintf(pairs, "1")
			all := "https://h/?" + pairs + "&" + url.QueryEscape(name) + "=1"
			alone, _ := conceal.WithoutCredentials("https://h/?" + pairs)
			if left, _ := conceal.WithoutCredentials(all); len(left) <= len(alone)+2 {
				return
			}
		}
		for _, credential := range []string{"", "1"} {
			here := IdentityOf(of(a, v, credential))
			if a != b && here == IdentityOf(of(b, v, credential)) {
				t.Errorf("%q and %q are one path", a, b)
			}
			if v != w && here == IdentityOf(of(a, w, credential)) {
				t.Errorf("%q and %q are one value", v, w)
			}
		}
	})
}

// What a line has for headers and bodies makes an item where its path does not, and so does the
// path where the URL is not known yet.
func TestIdentityOfVariables(t *testing.T) {
	fields := func(kv ...string) template.Fields {
		f := template.Fields{}
		for i := 0; i < len(kv); i += 2 {
			f[kv[i]] = template.Value{Text: kv[i+1]}
		}
		return f
	}
	number := template.Fields{"a": {Text: "1", Kind: template.JSON}}
	put := item.Item{Method: "PUT", URL: "http://h/{sha256}", Path: "x"}
	post := item.Item{Method: "POST", URL: "http://h/", Path: "x", Fields: fields("a", "1")}
	for _, c := range []struct {
		name         string
		a            item.Item
		change       func(*item.Item)
		alike, print bool // the identities, and the fingerprints
	}{
		{"path", put, func(it *item.Item) { it.Path = "y" }, false, false},
		{"URL", put, func(it *item.Item) { it.URL = "http://h/{md5}" }, false, true},
		{"header", put, func(it *item.Item) { it.Header = http.Header{"A": {"b"}} }, false, true},
		{"key", put, func(it *item.Item) { it.Key = "k" }, false, false},
		{"field", post, func(it *item.Item) { it.Fields = fields("a", "2") }, false, true},
		{"name", post, func(it *item.Item) { it.Fields = fields("b", "1") }, false, true},
		{"kind", post, func(it *item.Item) { it.Fields = number }, false, true},
		{"one more", post, func(it *item.Item) { it.Fields = fields("a", "1", "b", "") }, false,
			true},
		{"none", post, func(it *item.Item) { it.Fields = nil }, false, true},
		{"same", post, func(it *item.Item) { it.Fields = fields("a", "1") }, true, true},
		{"of a PUT", item.Item{Method: "PUT", URL: "http://h/x", Path: "x"},
			func(it *item.Item) { it.Fields = fields("a", "2") }, true, false},
		{"credential of a PUT", item.Item{Method: "PUT", URL: "http://h/x", Path: "x",
			Fields: fields("a", "1", "api_key", "1")},
			func(it *item.Item) { it.Fields = fields("a", "1", "api_key", "2") }, true, true},
		{"with a key", item.Item{Method: "POST", URL: "http://h/x", Path: "x", Key: "k"},
			func(it *item.Item) { it.Fields = fields("a", "2") }, true, false},
		{"without a file", item.Item{Method: "PUT", URL: "http://h/x", Hash: "1"},
			func(it *item.Item) { it.Fields, it.Hash = fields("a", "2"), "2" }, true, false},
		{"length without a file", item.Item{Method: "PUT", URL: "http://h/x", Hash: "1"},
			func(it *item.Item) { it.Size++ }, true, true},
	} {
		b := c.a
		c.change(&b)
		if got := IdentityOf(c.a) == IdentityOf(b); got != c.alike {
			t.Errorf("%s: one identity: %v", c.name, got)
		}
		if got := FingerprintOf(c.a) == FingerprintOf(b); got != c.print {
			t.Errorf("%s: one fingerprint: %v", c.name, got)
		}
	}
	a, b := post, post
	a.Key, b.Key, b.Fields = "k", "k", nil
	if IdentityOf(a) != IdentityOf(b) {
		t.Error("a field is in the identity of an item with a key")
	}
	id := IdentityOf(put)
	if u := id.UUID(); u != IdentityOf(put).UUID() || u == IdentityOf(post).UUID() ||
		u == makeKey(id, 0, time.Time{}, nil) || len(u) != 36 || u[14] != '8' {
		t.Errorf("UUID %s", u)
	}
}
