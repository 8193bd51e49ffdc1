package throttle

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
)

// To look makes nothing, and forgets nothing.
func TestLookup(t *testing.T) {
	tr := &Transport{MaxUpstreams: 3, Base: roundTripper(func(*http.Request) (*http.Response, error) {
		return answerWith(200), nil
	})}
	keys := func() (keys []string) {
		for key, u := range tr.Upstreams() {
			if found, ok := tr.Lookup(key); !ok || found != u {
				t.Errorf("%s: %p, %v, want %p", key, found, ok, u)
			}
			keys = append(keys, key)
		}
		return keys
	}
	if got := keys(); got != nil {
		t.Errorf("at first there are %q", got)
	}
	for _, host := range []string{"a", "b", "a", "c"} {
		req := httptest.NewRequest("GET", "http://"+host+":80/x?y", nil)
		resp, err := tr.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if key := tr.KeyOf(req); key != "http://"+host {
			t.Errorf("the key of %s is %s", req.URL, key)
		}
	}
	if _, ok := tr.Lookup("http://d"); ok {
		t.Error("there is one that nobody asked for")
	}
	for range 2 {
		if got, want := fmt.Sprint(keys()), "[http://c http://a http://b]"; got != want {
			t.Errorf("there are %s, want %s", got, want)
		}
	}
	for range tr.Upstreams() {
		break
	}
	// The key of the request before is remembered.
	for _, c := range [][2]string{
		{"http://c/", "http://c"}, {"https://c/", "https://c"}, {"https://c:80/", "https://c:80"},
		{"https://C:443/", "https://c"}, {"http://c/", "http://c"},
	} {
		if key := tr.KeyOf(httptest.NewRequest("GET", c[0], nil)); key != c[1] {
			t.Errorf("the key of %s is %s", c[0], key)
		}
	}
	tr.Key = func(*http.Request) string { return "one" }
	if key := tr.KeyOf(httptest.NewRequest("GET", "/", nil)); key != "one" {
		t.Errorf("the key is %s", key)
	}
}
