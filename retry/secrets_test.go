package retry

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/textproto"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock/penstock/internal/memnet"
	"github.com/penstock/penstock/internal/secret/secrettest"
)

// secretRequest has a secret wherever a request can have one.
func secretRequest(t *testing.T, method string) *http.Request {
	u := "http://us3r-sesame:" + url.PathEscape("pass/sesame@1") + "@h.example/up/f.bin?sig=" +
		url.QueryEscape("sesame+sig/==&ü") +
		"&key=sesame%2fLower&sesame-bare"
	req, err := http.NewRequestWithContext(t.Context(), method, u, strings.NewReader("x"))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+secrettest.Planted[1])
	req.Header["X-Key"] = secrettest.Planted
	req.Header.Set("Cookie", "id=sesame-id; t=sesame-t")
	req.Header.Set("Proxy-Authorization", "Basic "+secrettest.Basic("proxy", "sesame-proxy"))
	return req
}

// printed is everything that an error, an event or a result shows when it is printed, in any way.
func printed(v any) string {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%v\n%+v\n%q\n", v, v, v)
	_ = json.NewEncoder(&b).Encode(v)
	slog.New(slog.NewJSONHandler(&b, nil)).Info("", "v", v)
	slog.New(slog.NewTextHandler(&b, nil)).Info("", "v", v)
	if err, ok := v.(error); ok {
		switch e := err.(type) {
		case interface{ Unwrap() error }:
			if inner := e.Unwrap(); inner != nil {
				b.WriteString(printed(inner))
			}
		case interface{ Unwrap() []error }:
			for _, inner := range e.Unwrap() {
				b.WriteString(printed(inner))
			}
		}
	}
	return b.String()
}

func noSecrets(t *testing.T, what string, v any) {
	t.Helper()
	others := []string{secrettest.Basic("us3r-sesame", "pass/sesame@1"),
		secrettest.Basic("proxy", "sesame-proxy")}
	if text := secrettest.Find(printed(v), others...); text != "" {
		t.Errorf("%s: …%s…", what, text)
	}
}

// [secrets] A server may send back what it was sent, in every place of an answer and in the usual
// spellings. None of that comes out again.
func TestNoSecretComesBack(t *testing.T) {
	for _, answer := range secrettest.Answers {
		for _, spelling := range secrettest.Spellings[:5] {
			if spelling.Name == "every byte" { // no server does that by mistake
				continue
			}
			for _, method := range []string{"PUT", "POST"} {
				synctest.Test(t, func(t *testing.T) {
					c, _ := wireServer(t, Policy{Attempts: 2, Base: 1, GiveUpAfter: 1},
						func(_ int, conn *memnet.Conn, r *textproto.Reader) {
							line, h, err := head(r)
							if err != nil {
								return
							}
							io.CopyN(io.Discard, r.R, 1)
							io.WriteString(conn, answer.Echo(spelling.Write, line, h))
						})
					what := fmt.Sprintf("%s, %s, %s", answer.Name, spelling.Name, method)
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

// Nor what was put into the request on its way, by Prepare and by a cookie jar.
func TestNoSecretOfWhatWasAdded(t *testing.T) {
	jar, _ := cookiejar.New(nil)
	jar.SetCookies(&url.URL{Scheme: "http", Host: "h.example"},
		[]*http.Cookie{{Name: "id", Value: "sesame-cookie"}})
	for _, answer := range []string{
		"HTTP/1.1 307 Go\r\nLocation: http://x.example/%s/%s\r\nContent-Length: 0\r\n\r\n",
		"no HTTP: %s %s\r\n\r\n",
	} {
		synctest.Test(t, func(t *testing.T) {
			c, _ := wireServer(t, Policy{Attempts: 2, Base: 1, GiveUpAfter: 1},
				func(_ int, conn *memnet.Conn, r *textproto.Reader) {
					_, h, err := head(r)
					if err != nil {
						return
					}
					io.CopyN(io.Discard, r.R, 1)
					fmt.Fprintf(conn, answer, h.Get("X-Token"), h.Get("Cookie"))
				})
			c.HTTP.Jar = jar
			c.Observe = func(e Event) { noSecrets(t, "event", e) }
			c.Prepare = func(r *http.Request) error {
				r.Header.Set("X-Token", "sesame-token")
				return nil
			}
			resp, err := c.Do(request(t, "PUT", "x"))
			if err == nil {
				resp.Body.Close()
			}
			noSecrets(t, "error", err)
			noSecrets(t, "result", OutcomeOf(resp, err).Err)

			c.Prepare = func(r *http.Request) error {
				r.Header.Set("X-Token", "sesame-token")
				return errors.New("no leave for sesame-token")
			}
			_, err = c.Do(request(t, "PUT", "x"))
			noSecrets(t, "not prepared", err)
		})
	}
}

// Nor what somebody else's error holds: a transport's, a body's, a context's.
func TestNoSecretOfOthersErrors(t *testing.T) {
	bad := fmt.Errorf("signing: %w", &url.Error{Op: "Post",
		URL: "https://cli3nt:sesame@auth.example/t?secret=sesame a\"sesame",
		Err: errors.New("EOF")})
	failing := tripFunc(func(*http.Request) (*http.Response, error) { return nil, bad })
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(bad)
	for name, do := range map[string]func() (*http.Response, error){
		"transport": func() (*http.Response, error) {
			c, _ := over(failing, Policy{Attempts: 1})
			return c.Do(secretRequest(t, "POST"))
		},
		"not before": func() (*http.Response, error) {
			c, _ := over(tripFunc(func(*http.Request) (*http.Response, error) {
				return nil,
					&notSent{bad}
			}), exact)
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
			// which is no secret
			return resp, errors.New(strings.ReplaceAll(err.Error(), "sesame-scheme:", ""))
		},
		"Policy.Do": func() (*http.Response, error) {
			return nil, Policy{Attempts: 1}.Do(t.Context(),
				func(context.Context) error { return bad })
		},
		"Policy.Do permanent": func() (*http.Response, error) {
			return nil, exact.Do(t.Context(), func(context.Context) error { return Permanent(bad) })
		},
		"Policy.Do, wrapped": func() (*http.Response, error) {
			return nil, Policy{Attempts: 1}.Do(t.Context(),
				func(context.Context) error { return &silentError{bad} })
		},
		"Policy.Do, joined": func() (*http.Response, error) {
			return nil, Policy{Attempts: 1}.Do(t.Context(),
				func(context.Context) error { return &silentError{errors.Join(io.EOF, bad)} })
		},
		"Policy.Do context": func() (*http.Response, error) {
			return nil,
				exact.Do(ctx, func(context.Context) error { return nil })
		},
	} {
		resp, err := do()
		if err == nil {
			err = OutcomeOf(resp, err).Err
		}
		if err == nil || !strings.Contains(err.Error(), "EOF") && name != "bad header" &&
			name != "no URL" {
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
			c, _ := wireServer(t, Policy{Attempts: 1},
				func(_ int, conn *memnet.Conn, r *textproto.Reader) {
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

// StandardClient's errors begin with what net/http writes, its URL with the query. The rest is
// ours.
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

// silentError keeps what it wraps out of its own text.
type silentError struct{ err error }

func (e *silentError) Error() string { return "EOF, more or less" }
func (e *silentError) Unwrap() error { return e.err }

// notSent is how a transport below says that it has sent nothing and will not.
type notSent struct{ err error }

func (e *notSent) Error() string      { return e.err.Error() }
func (e *notSent) Unwrap() error      { return e.err }
func (e *notSent) RetryAt() time.Time { return time.Time{} }
