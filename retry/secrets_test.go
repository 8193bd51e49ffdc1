package retry

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/textproto"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock/penstock/internal/memnet"
)

// planted are what must be in no text, with "sesame" in each.
var planted = []string{
	"sesame-token.eyJ+/==", `sesame "quoted" \back`, "sesame%2Fescaped%zz", "sésame<&>'sesame'", "日本sesame語",
}

// secretRequest has a secret wherever a request can have one.
func secretRequest(t *testing.T, method string) *http.Request {
	u := "http://us3r-sesame:" + url.PathEscape("pass/sesame@1") + "@h.example/up/f.bin?sig=" + url.QueryEscape("sesame+sig/==&ü") +
		"&key=sesame%2fLower&sesame-bare"
	req, err := http.NewRequestWithContext(t.Context(), method, u, strings.NewReader("x"))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+planted[0])
	req.Header["X-Key"] = planted[1:]
	req.Header.Set("Cookie", "id=sesame-id; t=sesame-t")
	req.Header.Set("Proxy-Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte("proxy:sesame-proxy")))
	return req
}

// said is everything that an error, an event or a result shows when it is printed, in any way.
func said(v any) string {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%v\n%+v\n%q\n", v, v, v)
	_ = json.NewEncoder(&b).Encode(v)
	slog.New(slog.NewJSONHandler(&b, nil)).Info("", "v", v)
	slog.New(slog.NewTextHandler(&b, nil)).Info("", "v", v)
	if err, ok := v.(error); ok {
		switch e := err.(type) {
		case interface{ Unwrap() error }:
			if inner := e.Unwrap(); inner != nil {
				b.WriteString(said(inner))
			}
		case interface{ Unwrap() []error }:
			for _, inner := range e.Unwrap() {
				b.WriteString(said(inner))
			}
		}
	}
	return b.String()
}

func noSecrets(t *testing.T, what string, v any) {
	t.Helper()
	text := said(v)
	if i := strings.Index(strings.ToLower(text), "sesame"); i >= 0 {
		t.Errorf("%s: …%s…", what, text[max(0, i-200):min(len(text), i+100)])
	}
	for _, hidden := range []string{
		"%73%65%73%61%6d%65",
		base64.StdEncoding.EncodeToString([]byte("us3r-sesame:pass/sesame@1")), base64.StdEncoding.EncodeToString([]byte("proxy:sesame-proxy")),
	} {
		if strings.Contains(text, hidden) {
			t.Errorf("%s: credentials are in %s", what, text)
		}
	}
}

// [secrets] A server may send back what it was sent, in every place of an answer and in any
// spelling. None of that comes out again.
func TestNoSecretComesBack(t *testing.T) {
	spellings := map[string]func(string) string{
		"raw":   func(s string) string { return s },
		"JSON":  func(s string) string { b, _ := json.Marshal(s); return string(b) },
		"ASCII": strconv.QuoteToASCII,
		"percent": func(s string) string {
			var b strings.Builder
			for i := range len(s) {
				fmt.Fprintf(&b, "%%%02x", s[i])
			}
			return b.String()
		},
		"query": url.QueryEscape,
	}
	const whole = "\r\nContent-Length: 0\r\n\r\n"
	for _, answer := range []struct{ name, text string }{
		{"no HTTP", "what is $?\r\n\r\n"},
		{"reason", "HTTP/1.1 400 $" + whole},
		{"reason of a refusal", "HTTP/1.1 503 $" + whole},
		{"status", "HTTP/1.1 $ 400" + whole},
		{"version", "HTTP/$ 400 No" + whole},
		{"header without colon", "HTTP/1.1 400 No\r\n$" + whole},
		{"header", "HTTP/1.1 400 No\r\nX-You-Sent: $" + whole},
		{"continuation", "HTTP/1.1 400 No\r\n $" + whole},
		{"length", "HTTP/1.1 400 No\r\nContent-Length: $\r\n\r\n"},
		{"encoding", "HTTP/1.1 400 No\r\nTransfer-Encoding: $\r\n\r\n"},
		{"location in path", "HTTP/1.1 302 No\r\nLocation: /x/$" + whole},
		{"location elsewhere", "HTTP/1.1 307 No\r\nLocation: http://$@x.example/$?a=$#$" + whole},
		{"bad location", "HTTP/1.1 307 No\r\nLocation: %zz$" + whole},
		{"worse location", "HTTP/1.1 307 No\r\nLocation: ://$" + whole},
		{"hints", "HTTP/1.1 429 No\r\nRetry-After: $\r\nRateLimit: $;r=0" + whole},
		{"interim", "HTTP/1.1 103 $\r\nLink: $\r\n\r\nHTTP/1.1 $" + whole},
		{"cut off", "HTTP/1.1 400 $"},
	} {
		for spelling, write := range spellings {
			for _, method := range []string{"PUT", "POST"} {
				synctest.Test(t, func(t *testing.T) {
					c, _ := wireServer(t, Policy{Attempts: 2, Base: 1, GiveUpAfter: 1}, func(_ int, conn *memnet.Conn, r *textproto.Reader) {
						line, h, err := head(r)
						if err != nil {
							return
						}
						io.CopyN(io.Discard, r.R, 1)
						all := []string{line}
						for _, values := range h {
							all = append(all, values...)
						}
						for i, v := range all {
							all[i] = write(v)
						}
						io.WriteString(conn, strings.ReplaceAll(answer.text, "$", strings.Join(all, " ")))
					})
					what := fmt.Sprintf("%s, %s, %s", answer.name, spelling, method)
					c.Observe = func(e Event) {
						e.Request = nil
						noSecrets(t, what+": event", e)
						noSecrets(t, what+": event's error", e.Err)
					}
					resp, err := c.Do(secretRequest(t, method))
					noSecrets(t, what, err)
					noSecrets(t, what, OutcomeOf(resp, err).Err)
					if resp != nil {
						resp.Body.Close()
					}
				})
			}
		}
	}
}

// Nor what somebody else's error holds: a transport's, a body's, a context's.
func TestNoSecretOfOthersErrors(t *testing.T) {
	bad := fmt.Errorf("signing: %w", &url.Error{Op: "Post", URL: "https://cli3nt:sesame@auth.example/t?secret=sesame a\"sesame", Err: errors.New("EOF")})
	failing := tripFunc(func(*http.Request) (*http.Response, error) { return nil, bad })
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(bad)
	for name, do := range map[string]func() (*http.Response, error){
		"transport": func() (*http.Response, error) {
			c, _ := over(failing, Policy{Attempts: 1})
			return c.Do(secretRequest(t, "POST"))
		},
		"not before": func() (*http.Response, error) {
			c, _ := over(tripFunc(func(*http.Request) (*http.Response, error) { return nil, &notSent{bad} }), exact)
			return c.Do(secretRequest(t, "POST"))
		},
		"GetBody": func() (*http.Response, error) {
			c, _ := over(play(try{status: 500}), exact)
			req := secretRequest(t, "PUT")
			req.GetBody = func() (io.ReadCloser, error) { return nil, bad }
			return c.Do(req)
		},
		"context": func() (*http.Response, error) {
			c, _ := over(play(try{status: 200}), exact)
			return c.Do(secretRequest(t, "PUT").WithContext(ctx))
		},
		"Stop": func() (*http.Response, error) {
			c, _ := over(play(try{status: 500}), exact)
			c.Stop(bad)
			return c.Do(secretRequest(t, "PUT"))
		},
		"bad header": func() (*http.Response, error) {
			req := secretRequest(t, "PUT")
			req.Header.Set("X-Bad", "sesame\nsesame")
			return new(Client).Do(req)
		},
		"no URL": func() (*http.Response, error) {
			req := secretRequest(t, "PUT")
			req.URL.Scheme = "sesame-scheme:"
			c, _ := over(&http.Transport{}, exact)
			resp, err := c.Do(req)
			return resp, errors.New(strings.ReplaceAll(err.Error(), "sesame-scheme:", "")) // which is no secret
		},
		"Policy.Do": func() (*http.Response, error) {
			return nil, Policy{Attempts: 1}.Do(t.Context(), func(context.Context) error { return bad })
		},
		"Policy.Do permanent": func() (*http.Response, error) {
			return nil, exact.Do(t.Context(), func(context.Context) error { return Permanent(bad) })
		},
		"Policy.Do context": func() (*http.Response, error) { return nil, exact.Do(ctx, func(context.Context) error { return nil }) },
	} {
		resp, err := do()
		if err == nil {
			err = OutcomeOf(resp, err).Err
		}
		if err == nil || !strings.Contains(err.Error(), "EOF") && name != "bad header" && name != "no URL" {
			t.Errorf("%s: %v", name, err)
		}
		var e *Error
		if errors.As(err, &e) && name != "bad header" && !errors.Is(err, bad) {
			t.Errorf("%s: %v does not wrap what happened", name, err)
		}
		noSecrets(t, name, err)
	}
}

// An error text is short, whatever a server sends.
func TestLongErrors(t *testing.T) {
	long := strings.Repeat("long/", 20_000)
	for _, text := range []string{
		"HTTP/1.1 307 Go\r\nLocation: http://x.example/" + long + "\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 302 Go\r\nLocation: /" + long + "\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 400 " + long + "\r\nContent-Length: 0\r\n\r\n",
		long + "\r\n\r\n",
		"HTTP/1.1 200 OK\r\n" + long + "\r\n\r\n",
	} {
		synctest.Test(t, func(t *testing.T) {
			c, _ := wireServer(t, Policy{Attempts: 1}, func(_ int, conn *memnet.Conn, r *textproto.Reader) {
				head(r)
				io.CopyN(io.Discard, r.R, 1)
				io.WriteString(conn, text)
			})
			if got := end(t, c, request(t, "PUT", "x")).Err.Error(); len(got) > 1500 {
				t.Errorf("%d bytes: %.100s", len(got), got)
			}
		})
	}
}

// StandardClient's errors begin with what net/http writes, its URL with the query. The rest is ours.
func TestNoSecretInStandardClientsErrors(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, _, _ := w.(http.Hijacker).Hijack()
		fmt.Fprintf(conn, "HTTP/1.1 %s\r\n\r\n", r.Header.Get("Authorization"))
		conn.Close()
	}))
	defer srv.Close()
	req := secretRequest(t, "POST")
	req.URL.Host = srv.Listener.Addr().String()
	resp, err := new(Client).StandardClient().Do(req)
	if err == nil {
		resp.Body.Close()
	}
	var outer *url.Error
	if !errors.As(err, &outer) {
		t.Fatal(err)
	}
	noSecrets(t, "below what net/http adds", outer.Err)
	noSecrets(t, "result", OutcomeOf(resp, err).Err)
}

// notSent is how a transport below says that it has sent nothing and will not.
type notSent struct{ err error }

func (e *notSent) Error() string      { return e.err.Error() }
func (e *notSent) Unwrap() error      { return e.err }
func (e *notSent) RetryAt() time.Time { return time.Time{} }
