package send

import (
	"crypto/tls"
	"net/http"
	"strings"
	"testing"

	"github.com/penstock/penstock/internal/exit"
	"github.com/penstock/penstock/internal/nethttp"
)

func TestExposed(t *testing.T) {
	token := http.Header{"Authorization": {"Bearer sesame"}}
	for _, row := range []struct {
		to          string
		header      http.Header
		certificate bool
		says        string
	}{
		{"http://api.example.com/{name}", token, false, "the header Authorization is sent to http://api.example.com without TLS, where others can read it: use https://"},
		{"HTTP://api.example.com:8080/{name}", token, true, "the header Authorization is sent to http://api.example.com:8080 without TLS, where others can read it: use https://"},
		{"http://a.example/{name}", http.Header{"X-Api-Key": {"sesame"}, "Cookie": {"sesame"}, "Accept": {"*/*"}}, false,
			"the header Cookie and the header X-Api-Key are sent to http://a.example without TLS, where others can read it: use https://"},
		{"http://user:sesame@a.example/{name}?sig=1&access_token=sesame", nil, false,
			"the password in the URL and access_token in the URL are sent to http://a.example without TLS, where others can read it: use https://"},
		{"http://10.0.0.1/{name}", nil, true, "--cert has no effect, since http://10.0.0.1 is reached without TLS: use https://"},
		{"http://api.example.com/{name}", nil, false, ""},
		{"http://api.example.com/@{name}?page=1", http.Header{"Idempotency-Key": {"k"}, "Accept": {"*/*"}}, false, ""},
		{"https://api.example.com/{name}", token, true, ""},
		{"http://127.0.0.1:8080/{name}", token, true, ""},
		{"http://127.9.9.9/{name}", token, false, ""},
		{"http://[::1]:8080/{name}", token, false, ""},
		{"http://LocalHost/{name}", token, false, ""},
		{"http://api.localhost./{name}", token, false, ""},
		{"http://127.0.0.1.example.com/{name}", token, false,
			"the header Authorization is sent to http://127.0.0.1.example.com without TLS, where others can read it: use https://"},
		{"items.ndjson", token, false, ""},
	} {
		o := Options{To: row.to, Header: row.header}
		if row.certificate {
			o.Network.TLS = &tls.Config{Certificates: make([]tls.Certificate, 1)}
		}
		if got := o.Exposed(); got != row.says || strings.Contains(got, "sesame") {
			t.Errorf("%s with %v: %q, want %q", row.to, row.header, got, row.says)
		}
		if strings.Contains(row.to, "://") {
			o.HeaderOrigin, o.To = nethttp.OriginOf(row.to), "items.ndjson"
			if got := o.Exposed(); (got == "") != (row.says == "") && row.header != nil {
				t.Errorf("from a manifest, for %s: %q", row.to, got)
			}
		}
	}
}

// What is hidden in messages is not sent in the clear without a word.
func TestExposedIsWhatIsHidden(t *testing.T) {
	for name, value := range map[string]string{
		"X-Jwt": "1", "X-Pass": "1", "X-Sign": "1", "X-Access": "1", "X-Otp": "1", "X-Sid": "1", "X-Private": "1", "X-Pwd": "1", "X-Forward": "Basic dTpw",
	} {
		o := Options{To: "http://api.example.com/{name}", Header: http.Header{name: {value}}}
		if got, want := o.Exposed(), "the header "+name+" is sent to http://api.example.com without TLS, where others can read it: use https://"; got != want {
			t.Errorf("%s: %q", name, got)
		}
	}
	for _, name := range []string{"X-Idempotency-Key", "Content-Digest", "X-Env"} {
		o := Options{To: "http://api.example.com/{name}", Header: http.Header{name: {"1"}}}
		if got := o.Exposed(); got != "" {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// A run warns once, whatever single items have of their own.
func TestExposedIsToldOnce(t *testing.T) {
	for name, row := range map[string]struct {
		header http.Header
		url    string
		own    string
		times  int
	}{
		"for all":       {http.Header{"Authorization": {"Bearer sesame"}}, "http://a.example/x", "", 1},
		"and their own": {http.Header{"Authorization": {"Bearer sesame"}}, "http://a.example/x", `,"headers":{"X-Token":"sesame"}`, 1},
		"their own":     {nil, "http://a.example/x", `,"headers":{"X-Token":"sesame"}`, 1},
		"in their URLs": {nil, "http://u:sesame@a.example/x", "", 1},
		"at home":       {nil, "http://127.0.0.1/x", `,"headers":{"X-Token":"sesame"}`, 0},
		"nothing":       {nil, "http://a.example/x", "", 0},
	} {
		onFakeTime(t, 1, func(w http.ResponseWriter, r *http.Request) { accept(w, r, 0) }, func(w *world) {
			var lines strings.Builder
			for _, n := range []string{"1", "2", "3"} {
				lines.WriteString(`{"path":"` + w.firstFile() + `","url":"` + row.url + n + `"` + row.own + "}\n")
			}
			w.manifest(lines.String())
			w.Header = row.header
			if row.header != nil {
				w.HeaderOrigin = "http://a.example"
			}
			w.ended(w.run(), exit.Delivered, 3, 0, 0, 0, 0)
			talk := w.watch.talk.String()
			if n := strings.Count(talk, "others can read it"); n != row.times || strings.Contains(talk, "sesame") {
				t.Errorf("%s: said %d times, want %d:\n%s", name, n, row.times, talk)
			}
		})
	}
}
