package blame

import (
	"net/http"
	"testing"
)

func request(t *testing.T) *http.Request {
	req, err := http.NewRequest("PUT", "http://h.example/up/f.bin?token=s3cr3t", nil)
	if err != nil {
		t.Fatal(err)
	}
	return req
}

func TestKinds(t *testing.T) {
	header := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(name, value) }
	}
	target := func(url string) func(*http.Request) {
		return func(r *http.Request) {
			other, err := http.NewRequest("PUT", url, nil)
			if err != nil {
				t.Fatal(err)
			}
			r.URL = other.URL
		}
	}
	nothing := func(*http.Request) {}
	for _, c := range []struct {
		a, b func(*http.Request)
		same bool
	}{
		{nothing, target("http://H.example:80/other?id=7"), true},
		{nothing, target("https://h.example/up/f.bin"), false},
		{nothing, func(r *http.Request) { r.Method = "GET" }, false},
		{nothing, header("Content-Type", "text/csv"), true},
		{nothing, header("Idempotency-Key", "1"), true},
		{nothing, header("Cookie", "session=1"), true},
		{header("Authorization", "Bearer aaa"), header("Authorization", "Bearer bbb"), false},
		{header("Authorization", "Bearer aaa"), header("Authorization", "Bearer aaa"), true},
		{header("Authorization", "Basic YTph"), header("Authorization", "Basic YTpi"), false},
		{header("Authorization", "aaa"), header("Authorization", "bbb"), false},
		{header("X-Api-Key", "a"), header("X-Api-Key", "b"), false},
		{header("X-Api-Key", "a"), header("X-Auth-Token", "a"), false},
		{target("http://a:b@h.example/"), target("http://c:d@h.example/"), false},
		{target("http://h.example/?api_key=a"), target("http://h.example/?api_key=b"), false},
		{header("Authorization", "AWS4-HMAC-SHA256 Credential=A/20261128/s3, SignedHeaders=host, Signature=1"),
			header("Authorization", "AWS4-HMAC-SHA256 Credential=A/20261128/s3, SignedHeaders=host, Signature=2"), true},
		{header("Authorization", "AWS4-HMAC-SHA256 Credential=A/20261128/s3, SignedHeaders=host, Signature=1"),
			header("Authorization", "AWS4-HMAC-SHA256 Credential=B/20261128/s3, SignedHeaders=host, Signature=1"), false},
		{header("Authorization", "SharedKey a:1"), header("Authorization", "SharedKey a:2"), true},
		{header("Authorization", "SharedKey a:1"), header("Authorization", "SharedKey b:1"), false},
	} {
		a, b := request(t), request(t)
		c.a(a)
		c.b(b)
		if same := Of(a) == Of(b); same != c.same {
			t.Errorf("%s %v and %s %v are of the same kind: %v", a.URL, a.Header, b.URL, b.Header,
				same)
		}
	}
}
