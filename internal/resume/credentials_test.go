package resume

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/internal/secret"
)

// The identity is shown, as an idempotency key: it depends on no credential, or guesses of it could
// be tested. Everything else tells items apart, also what is kept out of messages to be on the safe
// side.
func TestIdentityHasNoSecrets(t *testing.T) {
	of := func(name, value string) Identity {
		return IdentityOf(item.Item{Method: "POST", URL: "http://h/",
			Header: http.Header{name: {value}}})
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
		{"X-Forward", `Digest username="u", response="1"`, `Digest username="u", response="2"`,
			true},
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

// With a new password or token the work goes on with the same items, keys and journal, and a user
// is kept apart from others.
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
			it := item.Item{Method: method, URL: strings.ReplaceAll(to, "{name}", "f"),
				Path: "/d/f"}
			return makeKey(IdentityOf(it), 5, time.Unix(1e9, 1), nil), secret.Target(to)
		}
		for _, method := range []string{"PUT", "POST"} {
			keyA, targetA := at(c.a, method)
			keyB, targetB := at(c.b, method)
			// Only items may need their path to tell them apart where something is left out.
			if method == "POST" && (keyA == keyB) != c.same || (targetA == targetB) != c.same {
				t.Errorf("%s, %s and %s: keys %s and %s, journals %s and %s", method, c.a, c.b,
					keyA, keyB, targetA, targetB)
			}
		}
	}
}
