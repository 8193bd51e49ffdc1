package send

import (
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dunglas/httpsfv"
	"pgregory.net/rapid"

	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/internal/secret"
)

// Journals outlive the program that wrote them: what it said of an item then
// must be said of it now.
func TestIdentityStays(t *testing.T) {
	if filepath.Separator != '/' {
		t.Skip("the path is another one here")
	}
	put := item.Item{Method: "PUT", URL: "https://h/a%20b?v=1", Path: "/d/a b"}
	post := item.Item{Method: "POST", URL: "https://h/", Path: "/d/a b", Header: http.Header{"X-Set": {"1"}}}
	keyed := item.Item{Method: "POST", URL: "https://h/", Path: "/d/a b", Key: "k-1"}
	for _, c := range []struct {
		it        item.Item
		want, key string
	}{
		{put, "a2d54f400fcd51df98e30d759a47bb0efe68098caaefa4faad27da753529bd50", "b9004058-076f-8d5f-ab19-8fc849145bfe"},
		{post, "5ed6ceb85874f5effadc08cbe56d1efd1061ac721620f292123cf3ec30488623", "e0301da7-db0b-8487-854f-28d9f11bdb95"},
		{keyed, "d176e634916b17a9080af7e5d8dd3d8200ceda814c272e39e595250aa7bc245d", "1c3d9ea0-ba0a-865b-a437-002a93a744f4"},
	} {
		id := identityOf(c.it)
		if got := hex.EncodeToString(id[:]); got != c.want || fmt.Sprintf("%016x", id.id()) != c.want[:16] {
			t.Errorf("%+v: %s, %x, want %s", c.it, got, id.id(), c.want)
		}
		if got := idempotencyKey(id, 5, time.Unix(1e9, 1), nil); got != c.key {
			t.Errorf("%+v: key %s, want %s", c.it, got, c.key)
		}
	}
}

func TestIdentity(t *testing.T) {
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	header := func(pairs ...string) http.Header {
		h := make(http.Header)
		for i := 0; i < len(pairs); i += 2 {
			h.Add(pairs[i], pairs[i+1])
		}
		return h
	}
	aws := func(sig string) string {
		return "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=" + sig + "&X-Amz-Date=" + sig + "&X-Amz-Expires=900&X-Amz-SignedHeaders=host&X-Amz-Signature=" + sig
	}
	azure := func(sig string) string {
		return "sv=2024-11-04&ss=b&srt=o&sp=rw&st=" + sig + "&se=" + sig + "&spr=https&skoid=" + sig + "&sig=" + sig
	}
	type it = item.Item
	for _, c := range []struct {
		name string
		a, b item.Item
		same bool
	}{
		{"PUT from elsewhere", it{Method: "PUT", URL: "http://h/a", Path: "x"}, it{Method: "PUT", URL: "http://h/a", Path: "y", Header: header("A", "b")}, true},
		{"PUT with another key", it{Method: "PUT", URL: "http://h/a", Key: "1"}, it{Method: "PUT", URL: "http://h/a", Key: "2"}, true},
		{"other method", it{Method: "PUT", URL: "http://h/a"}, it{Method: "MKCOL", URL: "http://h/a"}, false},
		{"POST and PATCH", it{Method: "POST", URL: "http://h/a", Path: "x"}, it{Method: "PATCH", URL: "http://h/a", Path: "x"}, false},
		{"other URL", it{Method: "PUT", URL: "http://h/a"}, it{Method: "PUT", URL: "http://h/b"}, false},
		{"other host", it{Method: "PUT", URL: "http://h/a"}, it{Method: "PUT", URL: "http://g/a"}, false},
		{"another cut", it{Method: "PUT", URL: "http://h/a"}, it{Method: "PU", URL: "Thttp://h/a"}, false},

		{"POST of two files", it{Method: "POST", URL: "http://h/", Path: "x"}, it{Method: "POST", URL: "http://h/", Path: "y"}, false},
		{"POST of one file", it{Method: "POST", URL: "http://h/", Path: "x"}, it{Method: "POST", URL: "http://h/", Path: "./d/../x"}, true},
		{"POST, absolute", it{Method: "POST", URL: "http://h/", Path: "d/x"}, it{Method: "POST", URL: "http://h/", Path: filepath.Join(here, "d", "x")}, true},
		{"POST, above", it{Method: "POST", URL: "http://h/", Path: "../x"}, it{Method: "POST", URL: "http://h/", Path: filepath.Join(filepath.Dir(here), "x")}, true},
		{"POST, not UTF-8", it{Method: "POST", URL: "http://h/", Path: "\xff"}, it{Method: "POST", URL: "http://h/", Path: "\xfe"}, false},
		{"POST with keys", it{Method: "POST", URL: "http://h/", Path: "x", Key: "1"}, it{Method: "POST", URL: "http://h/", Path: "x", Key: "2"}, false},
		{"POST with one key", it{Method: "POST", URL: "http://h/", Path: "x", Key: "1"}, it{Method: "POST", URL: "http://h/", Path: "y", Key: "1", Header: header("A", "b")}, true},
		{"key or path", it{Method: "POST", URL: "http://h/", Path: "/x"}, it{Method: "POST", URL: "http://h/", Key: "/x"}, false},

		{"POST with headers", it{Method: "POST", URL: "http://h/", Header: header("X-Set", "1")}, it{Method: "POST", URL: "http://h/", Header: header("X-Set", "2")}, false},
		{"POST with and without", it{Method: "POST", URL: "http://h/", Header: header("X-Set", "1")}, it{Method: "POST", URL: "http://h/"}, false},
		{"headers cut otherwise", it{Method: "POST", URL: "http://h/", Header: header("A", "b", "C", "d")}, it{Method: "POST", URL: "http://h/", Header: http.Header{"A": {"b", "C", "d"}}}, false},
		{"headers in any order", it{Method: "POST", URL: "http://h/", Header: header("A", "b", "C", "d")}, it{Method: "POST", URL: "http://h/", Header: header("C", "d", "A", "b")}, true},
		{"credentials in headers", it{Method: "POST", URL: "http://h/", Header: header("Authorization", "Basic 1", "X-Api-Key", "1")}, it{Method: "POST", URL: "http://h/"}, true},
		{"credentials beside others", it{Method: "POST", URL: "http://h/", Header: header("Authorization", "Bearer 1", "X-Set", "1")}, it{Method: "POST", URL: "http://h/", Header: header("Authorization", "Bearer 1", "X-Set", "2")}, false},

		{"query", it{Method: "PUT", URL: "http://h/a?v=1"}, it{Method: "PUT", URL: "http://h/a?v=2"}, false},
		{"query without value", it{Method: "PUT", URL: "http://h/a?v"}, it{Method: "PUT", URL: "http://h/a?w"}, false},
		{"bare token", it{Method: "PUT", URL: "http://h/a?token"}, it{Method: "PUT", URL: "http://h/a"}, false},
		{"empty query", it{Method: "PUT", URL: "http://h/a?"}, it{Method: "PUT", URL: "http://h/a"}, false},
		{"token", it{Method: "POST", URL: "http://h/?token=1&v=1"}, it{Method: "POST", URL: "http://h/?v=1&TOKEN=2"}, true},
		{"token beside others", it{Method: "POST", URL: "http://h/?token=1&v=1"}, it{Method: "POST", URL: "http://h/?token=1&v=2"}, false},
		{"tokens of two files", it{Method: "PUT", URL: "http://h/?token=1", Path: "x"}, it{Method: "PUT", URL: "http://h/?token=2", Path: "y"}, false},
		{"tokens of two keys", it{Method: "PUT", URL: "http://h/?token=1", Path: "x", Key: "1"}, it{Method: "PUT", URL: "http://h/?token=2", Path: "x", Key: "2"}, false},
		{"no tokens", it{Method: "PUT", URL: "http://h/?tokens=1&xtoken=1"}, it{Method: "PUT", URL: "http://h/?tokens=2&xtoken=1"}, false},
		{"access_token", it{Method: "PUT", URL: "http://h/a?access_token=1"}, it{Method: "PUT", URL: "http://h/a?access_token=2"}, true},
		{"api_key", it{Method: "PUT", URL: "http://h/a?api_key=1"}, it{Method: "PUT", URL: "http://h/a?api_key=2"}, true},
		{"key, which may be S3's", it{Method: "PUT", URL: "http://h/a?key=1"}, it{Method: "PUT", URL: "http://h/a?key=2"}, false},

		{"AWS", it{Method: "PUT", URL: "http://h/a?" + aws("1")}, it{Method: "PUT", URL: "http://h/a?" + aws("2") + "&X-Amz-Security-Token=2"}, true},
		{"AWS, another object", it{Method: "PUT", URL: "http://h/a?" + aws("1")}, it{Method: "PUT", URL: "http://h/b?" + aws("1")}, false},
		{"AWS, another part", it{Method: "PUT", URL: "http://h/a?partNumber=1&" + aws("1")}, it{Method: "PUT", URL: "http://h/a?partNumber=2&" + aws("1")}, false},
		{"AWS, not signed", it{Method: "PUT", URL: "http://h/a?X-Amz-Date=1"}, it{Method: "PUT", URL: "http://h/a?X-Amz-Date=2"}, false},
		{"Google", it{Method: "PUT", URL: "http://h/a?X-Goog-Date=1&X-Goog-Signature=1"}, it{Method: "PUT", URL: "http://h/a?X-Goog-Date=2&X-Goog-Signature=2"}, true},
		{"CloudFront", it{Method: "PUT", URL: "http://h/a?Expires=1&Signature=1&Key-Pair-Id=1"}, it{Method: "PUT", URL: "http://h/a?Policy=2&Signature=2&Key-Pair-Id=2"}, true},
		{"second AWS", it{Method: "PUT", URL: "http://h/a?AWSAccessKeyId=1&Expires=1&Signature=1"}, it{Method: "PUT", URL: "http://h/a?AWSAccessKeyId=1&Expires=2&Signature=2"}, true},
		{"expires alone", it{Method: "PUT", URL: "http://h/a?expires=1"}, it{Method: "PUT", URL: "http://h/a?expires=2"}, false},
		{"signature alone", it{Method: "PUT", URL: "http://h/a?signature=1"}, it{Method: "PUT", URL: "http://h/a?signature=2"}, false},
		{"policy of others", it{Method: "PUT", URL: "http://h/a?policy=1&expires=1&signature=1"}, it{Method: "PUT", URL: "http://h/a?policy=2&expires=1&signature=1"}, false},
		{"Azure", it{Method: "PUT", URL: "http://h/a?" + azure("1")}, it{Method: "PUT", URL: "http://h/a?" + azure("2")}, true},
		{"Azure, another block", it{Method: "PUT", URL: "http://h/a?comp=block&blockid=1&" + azure("1")}, it{Method: "PUT", URL: "http://h/a?comp=block&blockid=2&" + azure("1")}, false},
		{"Azure's names of others", it{Method: "PUT", URL: "http://h/a?sp=1&st=1&sig=1"}, it{Method: "PUT", URL: "http://h/a?sp=2&st=1&sig=1"}, false},
	} {
		if a, b := identityOf(c.a), identityOf(c.b); (a == b) != c.same || (a.id() == b.id()) != c.same {
			t.Errorf("%s: same %v, want %v", c.name, a == b, c.same)
		}
	}
}

// The identity is shown, as an idempotency key: it depends on no credential, or guesses of it could be tested. Everything else tells
// items apart, also what is kept out of messages to be on the safe side.
func TestIdentityHasNoSecrets(t *testing.T) {
	of := func(name, value string) identity {
		return identityOf(item.Item{Method: "POST", URL: "http://h/", Header: http.Header{name: {value}}})
	}
	for _, name := range []string{
		"Authorization", "Proxy-Authorization", "X-Authentication", "X-Auth", "X-Oauth", "X-Auth-Pass", "X-Bearer", "X-Credentials",
		"Cookie", "Cookie2", "X-Session", "X-Session-Id", "Sessionid", "X-Sid", "X-Csrf-Token", "X-Xsrf-Token",
		"Token", "Private-Token", "X-Amz-Security-Token", "X-Hub-Token", "X-Session-Token", "X-Token-2", "Accesstoken", "X-Authtoken", "X-Access-Token-V2",
		"X-Secret", "X-Client-Secret", "X-Password", "X-Userpassword", "X-Passphrase", "X-Passcode", "X-Pin", "X-Pin-Code", "X-Access-Code", "X-Otp", "X-Jwt", "X-Auth-Basic", "X-Secret-Value",
		"X-Signature", "X-Hub-Signature-256", "X-Signature-Ed25519", "X-Signature-Sha256", "Signature-Input",
		"X-Api-Key", "Api_key", "Apikey", "X-Apikey", "X-Mbx-Apikey", "X-Rapidapi-Key", "X-Goog-Api-Key", "Dd-Api-Key", "Dd-Application-Key", "X-Api-Key-2",
		"Ocp-Apim-Subscription-Key", "X-Functions-Key", "X-Master-Key", "X-License-Key", "X-Auth-Key", "X-Secretkey", "X-Access-Key", "X-Access-Key-Id",
		"X-Ms-Encryption-Key", "X-Amz-Server-Side-Encryption-Customer-Key", "X-Amz-Server-Side-Encryption-Customer-Key-Md5",
	} {
		if of(name, "1234") != of(name, "5678") {
			t.Errorf("%s counts", name)
		}
		if !secret.Held(name, "1234") {
			t.Errorf("%s is a credential, and is not kept out of messages", name)
		}
	}
	for _, name := range []string{
		"X-Set", "Content-Language", "X-User-Id", "X-Account", "X-Account-Id", "X-Access-Id", "X-Access-Level", "X-Private", "X-Sidecar",
		"Idempotency-Key", "X-Idempotency-Key", "X-Idempotency-Token", "X-Author", "X-Authority", "X-Auth-User", "X-Secretary", "X-Passenger", "X-Bypass", "X-Spin",
		"X-Key", "X-Object-Key", "X-Object-Key-2", "X-Object-Key-Id", "X-Object-Key-Value", "X-Author-Code", "X-Partition-Key", "X-Row-Key", "X-Key-Version", "X-Monkey",
		"X-Design-Id", "X-Sign", "X-Signature-Version", "X-Token-Count", "X-Token-Input", "X-Session-Topic", "X-Possession", "X-Amz-Content-Sha256", "-", "",
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
		{"X-Forward", `Digest username="u", response="1"`, `Digest username="u", response="2"`, true},
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

// A template goes through as it is written: the journal's name is made of one.
func TestWithoutCredentialsOfTemplate(t *testing.T) {
	for template, want := range map[string]string{
		"https://h/{path}?set={set}&access_token=x":  "https://h/{path}?set={set}",
		"https://h/{path}?access_token=x":            "https://h/{path}",
		"https://h/?a=1&&token=x&b=%26token=":        "https://h/?a=1&&b=%26token=",
		"https://h/?token=1&token=2&a?token=3":       "https://h/?a?token=3",
		"https://h/token=1":                          "https://h/token=1",
		"https://h/?{name}={token}&apikey={apikey}#": "https://h/?{name}={token}",
	} {
		if got, any := withoutCredentials(template); got != want || any != (got != template) {
			t.Errorf("%s: %s, %v, want %s", template, got, any, want)
		}
	}
}

// What is left of a query is what a slow reading of the rule leaves.
func TestWithoutCredentialsModel(t *testing.T) {
	var names []string
	for _, s := range credentials {
		names = append(append(names, s.by...), s.with...)
	}
	names = append(names, "v", "", "to%6ben", "set", "key")
	rapid.Check(t, func(t *rapid.T) {
		pair := rapid.Custom(func(t *rapid.T) string {
			name := rapid.SampledFrom(names).Draw(t, "name")
			if rapid.Bool().Draw(t, "lower") {
				name = strings.ToLower(name)
			}
			return name + rapid.SampledFrom([]string{"", "=", "=1", "=a=b"}).Draw(t, "value")
		})
		pairs := rapid.SliceOfN(pair, 0, 12).Draw(t, "pairs")
		has := func(name string) bool {
			return slices.ContainsFunc(pairs, func(p string) bool { return strings.HasPrefix(strings.ToLower(p), strings.ToLower(name)+"=") })
		}
		drop := make(map[string]bool)
		for _, s := range credentials {
			all := true
			for _, name := range s.by {
				all = all && has(name)
			}
			for _, name := range append(slices.Clone(s.by), s.with...) {
				drop[strings.ToLower(name)] = drop[strings.ToLower(name)] || all
			}
		}
		var left []string
		for _, p := range pairs {
			if name, _, _ := strings.Cut(p, "="); !drop[strings.ToLower(name)] {
				left = append(left, p)
			}
		}
		want := "http://h/"
		if len(left) > 0 {
			want += "?" + strings.Join(left, "&")
		}
		in := "http://h/?" + strings.Join(pairs, "&")
		if len(left) == len(pairs) {
			want = in
		}
		if got, any := withoutCredentials(in); got != want || any != (len(left) < len(pairs)) {
			t.Fatalf("%s: %s, %v, want %s", in, got, any, want)
		}
	})
}

func TestAbsolute(t *testing.T) {
	for _, path := range []string{"a", "./a", "a/../b", "..", "../..", "/a", "/a/../b", ".", "", "a/", `\a`, "C:a", `C:\a`, "a\x00b", strings.Repeat("a/", 3000)} {
		want, err := filepath.Abs(path)
		if got := absolute(path); err == nil && got != want {
			t.Errorf("%q: %q, want %q", path, got, want)
		}
	}
}

func TestIdentityIsCheap(t *testing.T) {
	for name, it := range map[string]item.Item{
		"PUT":  {Method: "PUT", URL: "https://files.example.com/2024/sub/00001.csv", Path: "d/00001.csv"},
		"POST": {Method: "POST", URL: "https://files.example.com/", Path: "/srv/data/2024/sub/00001.csv"},
	} {
		if n := testing.AllocsPerRun(100, func() { identityOf(it) }); n > 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func BenchmarkIdentity(b *testing.B) {
	for name, it := range map[string]item.Item{
		"PUT":    {Method: "PUT", URL: "https://files.example.com/2024/sub/00001.csv", Path: "d/00001.csv"},
		"POST":   {Method: "POST", URL: "https://files.example.com/upload", Path: "data/2024/sub/00001.csv"},
		"signed": {Method: "PUT", URL: "https://files.example.com/a?X-Amz-Algorithm=A&X-Amz-Credential=C&X-Amz-Date=D&X-Amz-Expires=E&X-Amz-SignedHeaders=host&X-Amz-Signature=S", Path: "d/a"},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				identityOf(it)
			}
		})
	}
}

// Values that are no credentials tell items apart, and credentials do not,
// whatever stands in either.
func FuzzIdentity(f *testing.F) {
	f.Add("a", "b", "v", "1", "2", "x", uint8(0))
	f.Add("a/b", "a%2Fb", "token", "1&token=2", "?", "d/x", uint8(1))
	f.Add("", "?", "sig", "&sv=1", "\xff", "\x00", uint8(0xff))
	given := []string{"access_token=%s", "sv=1&sig=%s", "Expires=%s&Signature=%[1]s", "X-Amz-Date=%s&X-Amz-Signature=%[1]s"}
	f.Fuzz(func(t *testing.T, a, b, name, v, w, path string, mode uint8) {
		method := []string{"PUT", "POST"}[mode&1]
		of := func(seg, value, secret string) item.Item {
			u := "https://h/" + url.PathEscape(seg) + "?" + url.QueryEscape(name) + "=" + url.QueryEscape(value)
			if secret != "" {
				u += "&" + fmt.Sprintf(given[mode>>1&3], url.QueryEscape(secret))
			}
			return item.Item{Method: method, URL: u, Path: path}
		}
		identityOf(item.Item{Method: a, URL: b, Path: path, Key: name, Header: http.Header{v: {w}}})
		identityOf(item.Item{Method: method, URL: a + "?" + v + "&" + w, Path: path})

		one := identityOf(of(a, v, "1"))
		if one != identityOf(of(a, v, "22")) {
			t.Error("another credential makes another item")
		}
		for _, s := range credentials {
			for _, known := range slices.Concat(s.by, s.with) {
				if strings.EqualFold(name, known) {
					return
				}
			}
		}
		for _, secret := range []string{"", "1"} {
			here := identityOf(of(a, v, secret))
			if a != b && here == identityOf(of(b, v, secret)) {
				t.Errorf("%q and %q are one path", a, b)
			}
			if v != w && here == identityOf(of(a, w, secret)) {
				t.Errorf("%q and %q are one value", v, w)
			}
		}
	})
}

func TestIdempotencyKey(t *testing.T) {
	at := time.Date(2024, 1, 2, 3, 4, 5, 6, time.UTC)
	base := idempotencyKey(identity{1}, 5, at, nil)
	if !regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`).MatchString(base) {
		t.Errorf("%s is no UUID of version 8", base)
	}
	if again := idempotencyKey(identity{1}, 5, at.In(time.FixedZone("", 3600)), nil); again != base {
		t.Errorf("%s in another zone, %s", again, base)
	}
	sum := make([]byte, 32)
	digest := idempotencyKey(identity{1}, 5, at, sum)
	if touched := idempotencyKey(identity{1}, 5, at.Add(1), sum); touched != digest {
		t.Errorf("touched, %s, was %s", touched, digest)
	}
	seen := map[string]string{base: "base"}
	for name, key := range map[string]string{
		"identity": idempotencyKey(identity{2}, 5, at, nil),
		"size":     idempotencyKey(identity{1}, 6, at, nil),
		"time":     idempotencyKey(identity{1}, 5, at.Add(1), nil),
		"no time":  idempotencyKey(identity{1}, 5, time.Time{}, nil),
		"far":      idempotencyKey(identity{1}, 5, at.AddDate(1<<20, 0, 0), nil),
		"past":     idempotencyKey(identity{1}, 5, at.AddDate(-1<<20, 0, 0), nil),
		"digest":   digest,
		"another":  idempotencyKey(identity{1}, 5, at, append(sum[:31:31], 1)),
	} {
		if other, ok := seen[key]; ok {
			t.Errorf("%s and %s have one key", name, other)
		}
		seen[key] = name
	}
}

func TestFormatKey(t *testing.T) {
	for key, want := range map[string]string{
		"":                                     `""`,
		"8e03978e-40d5-43e8-bc93-6894a57f9324": `"8e03978e-40d5-43e8-bc93-6894a57f9324"`,
		`a "b" \c`:                             `"a \"b\" \\c"`,
		" ~":                                   `" ~"`,
	} {
		got, err := formatKey(key, false)
		if got != want || err != nil {
			t.Errorf("%q: %s, %v", key, got, err)
		}
		if item, err := httpsfv.UnmarshalItem([]string{got}); err != nil || item.Value != key {
			t.Errorf("%q comes back as %v, %v", key, item.Value, err)
		}
		if got, err := formatKey(key, true); got != key || err != nil {
			t.Errorf("bare %q: %q, %v", key, got, err)
		}
	}
	for _, key := range []string{"schlüssel", "a\tb", "a\nb", "\x7f", "\xff"} {
		if got, err := formatKey(key, false); err == nil || got != "" || strings.Contains(err.Error(), "\n") || !strings.Contains(err.Error(), "--key-format bare") {
			t.Errorf("%q: %q, %v", key, got, err)
		}
	}
	if got, err := formatKey("schlüssel", true); got != "schlüssel" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}

// With a new password or token the work goes on with the same items, keys and journal, and a user is
// kept apart from others.
func TestPasswordIsNoIdentity(t *testing.T) {
	for _, c := range []struct {
		a, b string
		same bool
	}{
		{"https://ann:old@h/{name}", "https://ann:new@h/{name}", true},
		{"https://ann:old@h/{name}", "https://bob:old@h/{name}", false},
		{"https://ann:old@h/{name}", "https://h/{name}", false},
		{"https://ann:p%40@h/{name}", "https://ann:x@h/{name}", true},
		{"https://ann:a:b@h/{name}", "https://ann:c@h/{name}", true},
		{"https://token1@h/{name}", "https://token2@h/{name}", true},
		{"https://token1:x-oauth-basic@h/{name}", "https://token2:@h/{name}", true},
		{"https://h/ann:old@{name}", "https://h/ann:new@{name}", false}, // a path
		{"https://h/{name}?password=a", "https://h/{name}?Password=b", true},
		{"https://h/{name}?subscription-key=a&v=1", "https://h/{name}?v=1", true},
		{"https://ann:old@h/{name}?v=1", "https://ann:new@h/{name}?v=1", true},
	} {
		at := func(to, method string) (string, string) {
			it := item.Item{Method: method, URL: strings.ReplaceAll(to, "{name}", "f"), Path: "/d/f"}
			return idempotencyKey(identityOf(it), 5, time.Unix(1e9, 1), nil), JournalTarget(to)
		}
		for _, method := range []string{"PUT", "POST"} {
			keyA, targetA := at(c.a, method)
			keyB, targetB := at(c.b, method)
			// Only items may need their path to tell them apart where something is left out.
			if method == "POST" && (keyA == keyB) != c.same || (targetA == targetB) != c.same {
				t.Errorf("%s, %s and %s: keys %s and %s, journals %s and %s", method, c.a, c.b, keyA, keyB, targetA, targetB)
			}
		}
	}
}

// The name of a journal is shown, with a hash in it by which guesses could be tested.
func TestJournalTargetHasNoSecret(t *testing.T) {
	for to, want := range map[string]string{
		"https://u:sesame@h/{path}?k=sesame&n={name}&sesame":   "https://u@h/{path}?k&n={name}",
		"https://h/{path}?token=sesame":                        "https://h/{path}",
		"https://h/{path}?a=sesame&sig=sesame":                 "https://h/{path}?a&sig",
		"https://sesame@h/{path}":                              "https://h/{path}",
		"https://h/{path}?X-Amz-Signature=sesame&partNumber=1": "https://h/{path}?partNumber",
		"/data/a?b=c@d.ndjson":                                 "/data/a?b=c@d.ndjson",
	} {
		if got := JournalTarget(to); got != want {
			t.Errorf("%s: %s, want %s", to, got, want)
		}
	}
}
