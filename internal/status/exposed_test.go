package status

import (
	"net/http"
	"strings"
	"testing"
)

const clear = " without TLS, where others can read it: use https://"

func TestExposed(t *testing.T) {
	token := http.Header{"Authorization": {"Bearer sesame"}}
	for _, row := range []struct {
		to          string
		header      http.Header
		certificate bool
		says        string
	}{
		{"http://api.example.com/{name}", token, false,
			"the header Authorization is sent to http://api.example.com" + clear},
		{"HTTP://api.example.com:8080/{name}", token, true,
			"the header Authorization is sent to http://api.example.com:8080" + clear},
		{"http://a.example/{name}", http.Header{"X-Api-Key": {"sesame"}, "Cookie": {"sesame"},
			"Accept": {"*/*"}}, false,
			"the header Cookie and the header X-Api-Key are sent to http://a.example" + clear},
		{"http://user:sesame@a.example/{name}?sig=1&access_token=sesame", nil, false,
			"the password in the URL and access_token in the URL are sent to http://a.example" +
				clear},
		{"http://10.0.0.1/{name}", nil, true,
			"--cert has no effect, since http://10.0.0.1 is reached without TLS: use https://"},
		{"http://api.example.com/{name}", nil, false, ""},
		{"http://api.example.com/@{name}?page=1",
			http.Header{"Idempotency-Key": {"k"}, "Accept": {"*/*"}}, false, ""},
		{"https://api.example.com/{name}", token, true, ""},
		{"http://127.0.0.1:8080/{name}", token, true, ""},
		{"http://127.9.9.9/{name}", token, false, ""},
		{"http://[::1]:8080/{name}", token, false, ""},
		{"http://LocalHost/{name}", token, false, ""},
		{"http://api.localhost./{name}", token, false, ""},
		{"http://127.0.0.1.example.com/{name}", token, false,
			"the header Authorization is sent to http://127.0.0.1.example.com" + clear},
		{"items.ndjson", token, false, ""},
	} {
		got := Exposed(row.to, row.header, row.certificate)
		if got != row.says || strings.Contains(got, "sesame") {
			t.Errorf("%s with %v: %q, want %q", row.to, row.header, got, row.says)
		}
	}
}

// What is hidden in messages is not sent in the clear without a word.
func TestExposedIsWhatIsHidden(t *testing.T) {
	for name, value := range map[string]string{
		"X-Jwt": "1", "X-Pass": "1", "X-Sign": "1", "X-Access": "1", "X-Otp": "1", "X-Sid": "1",
		"X-Private": "1", "X-Pwd": "1", "X-Forward": "Basic dTpw",
	} {
		if got, want := Exposed("http://api.example.com/{name}", http.Header{name: {value}}, false),
			"the header "+name+" is sent to http://api.example.com"+clear; got != want {
			t.Errorf("%s: %q", name, got)
		}
	}
	for _, name := range []string{"X-Idempotency-Key", "Content-Digest", "X-Env"} {
		if got := Exposed("http://api.example.com/{name}", http.Header{name: {"1"}},
			false); got != "" {
			t.Errorf("%s: %q", name, got)
		}
	}
}
