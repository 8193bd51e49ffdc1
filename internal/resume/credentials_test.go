package resume

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/internal/secret"
)

// The identity is shown, as an idempotency key: it depends on no credential, or guesses of it could be tested. Everything else tells
// items apart, also what is kept out of messages to be on the safe side.
func TestIdentityHasNoSecrets(t *testing.T) {
	of := func(name, value string) Identity {
		return IdentityOf(item.Item{Method: "POST", URL: "http://h/", Header: http.Header{name: {value}}})
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

// credentials are all ways to put a credential into a query.
func credentials() []scheme {
	all := slices.Clone(schemes)
	for _, name := range tokens {
		all = append(all, scheme{by: []string{name}})
	}
	return all
}

// What is left of a query is what a slow reading of the rule leaves.
func TestWithoutCredentialsModel(t *testing.T) {
	var names []string
	for _, s := range credentials() {
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
		for _, s := range credentials() {
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
			return makeKey(IdentityOf(it), 5, time.Unix(1e9, 1), nil), JournalTarget(to)
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
