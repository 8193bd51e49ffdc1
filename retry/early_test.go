package retry

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/textproto"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock/penstock/internal/memnet"
	"github.com/penstock/penstock/internal/trip"
)

const (
	long      = 1 << 20 // more than a connection of memnet holds
	created   = "HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\nok"
	noContent = "HTTP/1.1 204 No Content\r\n\r\n"
)

// [delivered] A 2xx that comes after some of the body says nothing about the rest.
func TestEarlyAcceptance(t *testing.T) {
	stall := func(*memnet.Conn) { time.Sleep(time.Hour) }
	for _, row := range []struct {
		name, answer string
		then         func(*memnet.Conn)
		took         time.Duration
	}{
		{"stalls", created, stall, trip.MaxWriteWait},
		{"stalls, no answer body", noContent, stall, 50 * time.Millisecond}, // then net/http closes
		{"closes", created, func(c *memnet.Conn) { time.Sleep(time.Second); c.Close() },
			time.Second},
		{"resets", created, func(c *memnet.Conn) { time.Sleep(time.Second); c.Reset() },
			time.Second},
	} {
		for _, method := range []string{"PUT", "POST"} {
			synctest.Test(t, func(t *testing.T) {
				what := row.name + ", " + method
				whole := 0
				c, _ := wireServer(t, exact, func(n int, conn *memnet.Conn, r *textproto.Reader) {
					head(r)
					if n == 0 {
						io.CopyN(io.Discard, r.R, 100<<10)
						io.WriteString(conn, row.answer)
						row.then(conn)
						return
					}
					if got, _ := io.CopyN(io.Discard, r.R, long); got == long {
						whole++
					}
					io.WriteString(conn, row.answer)
				})
				var events []Event
				c.Observe = func(e Event) { events = append(events, e) }
				start := time.Now()
				req := request(t, method, strings.Repeat("x", long))
				resp, err := c.Do(req)
				r := OutcomeOf(resp, err)
				took := time.Since(start)
				if method == "POST" {
					check(t, what+": outcome", r.Outcome, Unknown)
					check(t, what+": attempts", r.Attempts, 1)
					if err == nil || !strings.Contains(err.Error(), reasonEarly) {
						t.Errorf("%s: error %v", what, err)
					}
				} else {
					check(t, what+": outcome", r.Outcome, Delivered)
					check(t, what+": attempts", r.Attempts, 2)
					check(t, what+": received whole", whole, 1)
					took = events[0].Until.Sub(start) - events[0].Wait
				}
				check(t, what+": time until it was judged", took, row.took)
				check(t, what+": status", events[0].Status/100, 2)
				check(t, what+": uncertain", events[0].Uncertain, true)
				check(t, what+": reason", events[0].Reason, reasonEarly)
				if resp != nil {
					resp.Body.Close()
				}
			})
		}
	}
}

// An early answer is no fault as long as the server goes on reading.
func TestEarlyAcceptanceThatReadsOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got int64
		c, _ := wireServer(t, exact, func(n int, conn *memnet.Conn, r *textproto.Reader) {
			head(r)
			io.WriteString(conn, created)
			time.Sleep(5 * time.Second)
			got, _ = io.CopyN(io.Discard, r.R, long)
		})
		start := time.Now()
		r := end(t, c, request(t, "POST", strings.Repeat("x", long)))
		check(t, "outcome", r.Outcome, Delivered)
		check(t, "time passed", time.Since(start), 5*time.Second)
		synctest.Wait()
		check(t, "received", got, int64(long))
	})
}

func TestEarlyAcceptanceOverHTTP2(t *testing.T) {
	for _, honest := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			l := memnet.Listen()
			protocols := new(http.Protocols)
			protocols.SetUnencryptedHTTP2(true)
			var got int64
			srv := &http.Server{Protocols: protocols,
				Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if r.ProtoMajor != 2 {
						t.Error(r.Proto)
					}
					io.CopyN(io.Discard, r.Body, 100<<10)
					w.WriteHeader(201)
					http.NewResponseController(w).Flush()
					if honest {
						time.Sleep(time.Second)
						got, _ = io.Copy(io.Discard, r.Body)
					}
				})}
			go srv.Serve(l)
			tr := &http.Transport{DialContext: l.DialContext, Protocols: protocols}
			c := &Client{HTTP: &http.Client{Transport: tr}, Policy: exact}
			r := OutcomeOf(c.Do(request(t, "POST", strings.Repeat("x", 4*long))))
			synctest.Wait()
			if honest {
				check(t, "outcome", r.Outcome, Delivered)
				check(t, "received", got, int64(4*long-100<<10))
			} else {
				check(t, "outcome", r.Outcome, Unknown)
				check(t, "status", r.Status, 201)
			}
			tr.CloseIdleConnections()
			srv.Close()
			time.Sleep(time.Second)
		})
	}
}

// The end of the writing may be told after the answer came, or never.
func TestEndOfWritingIsWaitedFor(t *testing.T) {
	errWrite := errors.New("write: broken pipe")
	for _, row := range []struct {
		name   string
		conn   bool
		after  time.Duration // 0: never
		err    error
		cancel time.Duration
		put    Outcome
		post   Outcome
		took   time.Duration
	}{
		{"late", true, time.Millisecond, nil, 0, Delivered, Delivered, time.Millisecond},
		{"late error", true, time.Millisecond, errWrite, 0, Failed, Unknown, time.Millisecond},
		{"never", true, 0, nil, 0, Failed, Unknown, trip.MaxWriteWait},
		{"cancelled", true, 0, nil, time.Second, Deferred, Unknown, time.Second},
		{"no hooks", false, 0, nil, 0, Delivered, Delivered, 0},
	} {
		for method, want := range map[string]Outcome{"PUT": row.put, "POST": row.post} {
			synctest.Test(t, func(t *testing.T) {
				c, _ := over(tripFunc(func(r *http.Request) (*http.Response, error) {
					trace := httptrace.ContextClientTrace(r.Context())
					if row.conn {
						trace.GotConn(httptrace.GotConnInfo{})
					}
					if row.after > 0 {
						time.AfterFunc(row.after,
							func() { trace.WroteRequest(httptrace.WroteRequestInfo{Err: row.err}) })
					}
					return answer(201, ""), nil
				}), Policy{Attempts: 1})
				ctx := t.Context()
				if row.cancel > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, row.cancel)
					defer cancel()
				}
				start := time.Now()
				r := OutcomeOf(c.Do(request(t, method, "x").WithContext(ctx)))
				check(t, row.name+", "+method, r.Outcome, want)
				check(t, row.name+": time passed", time.Since(start), row.took)
			})
		}
	}
}

// Who says that an answer is an acceptance is believed at once.
func TestClassifyAcceptsWhatWasNotSentWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := wireServer(t, exact, func(n int, conn *memnet.Conn, r *textproto.Reader) {
			head(r)
			io.WriteString(conn, created)
			time.Sleep(time.Hour)
		})
		c.Classify = func(*http.Request, *http.Response,
			error) Verdict {
			return Verdict{Action: Accept}
		}
		start := time.Now()
		resp, err := c.Do(request(t, "POST", strings.Repeat("x", long)))
		check(t, "time passed", time.Since(start), time.Duration(0))
		check(t, "outcome", OutcomeOf(resp, err).Outcome, Delivered)
		resp.Body.Close()
	})
}

// An acceptance instead of the 100 Continue: net/http keeps the body, and reports no error.
func TestAcceptanceInsteadOfContinue(t *testing.T) {
	for _, own := range []bool{false, true} {
		for method, want := range map[string]Outcome{"PUT": Delivered, "POST": Unknown} {
			synctest.Test(t, func(t *testing.T) {
				if own && method == "PUT" {
					return // the header is the user's, and each try has it
				}
				asked, received := make(chan bool, 2), make(chan bool, 2) // the connections overlap
				size := int64(trip.AskFrom)
				if own {
					size = 1
				}
				c, _ := wireServer(t, exact, func(n int, conn *memnet.Conn, r *textproto.Reader) {
					_, h, _ := head(r)
					asked <- h.Get("Expect") != ""
					if n == 0 {
						io.WriteString(conn,
							strings.Replace(created, "Content", "Connection: close\r\nContent", 1))
						_, err := r.R.ReadByte()
						received <- err == nil
						return
					}
					got, _ := io.CopyN(io.Discard, r.R, size)
					received <- got == size
					io.WriteString(conn, okLast)
				})
				req := request(t, method, strings.Repeat("x", int(size)))
				if own {
					req.Header.Set("Expect", "100-continue")
				}
				resp, err := c.Do(req)
				check(t, method, OutcomeOf(resp, err).Outcome, want)
				if resp != nil {
					resp.Body.Close()
				}
				synctest.Wait()
				check(t, "asked", <-asked, true)
				check(t, "received", <-received, false)
				if method == "PUT" {
					check(t, "asked again", <-asked, false)
					check(t, "received at last", <-received, true)
				}
				check(t, "further tries", len(asked), 0)
			})
		}
	}
}

// A file goes out by sendfile, where nobody calls Read.
func TestFileBodyAfterContinue(t *testing.T) {
	var got int64
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Expect") == "" {
			t.Error("it was not asked")
		}
		got, _ = io.Copy(io.Discard, r.Body)
	}))
	defer srv.Close()
	path := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(path, make([]byte, trip.AskFrom), 0o600); err != nil {
		t.Fatal(err)
	}
	req, _ := http.NewRequest("POST", srv.URL, nil)
	if err := SetFileBody(req, path); err != nil {
		t.Fatal(err)
	}
	c := &Client{HTTP: srv.Client()}
	check(t, "outcome", end(t, c, req).Outcome, Delivered)
	check(t, "received", got, int64(trip.AskFrom))
}

// What counts is the request that was answered, not the one that was redirected.
func TestEarlyAcceptanceAndRedirect(t *testing.T) {
	const moved = "HTTP/1.1 307 Moved\r\nLocation: /there\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
	for early, want := range []Outcome{Delivered, Unknown} {
		synctest.Test(t, func(t *testing.T) {
			c, _ := wireServer(t, exact, func(n int, conn *memnet.Conn, r *textproto.Reader) {
				head(r)
				if n != early {
					io.CopyN(io.Discard, r.R, long)
				}
				if n == 0 {
					io.WriteString(conn, moved)
				} else {
					io.WriteString(conn, created)
				}
				time.Sleep(time.Hour)
			})
			resp, err := c.Do(request(t, "POST", strings.Repeat("x", long)))
			check(t, "outcome", OutcomeOf(resp, err).Outcome, want)
			if resp != nil {
				resp.Body.Close()
			}
		})
	}
}

// The writing of one hop may end when the next is under way.
func TestWritingOfAnEarlierHop(t *testing.T) {
	for _, row := range []struct {
		first, second error
		want          Outcome
	}{{io.ErrClosedPipe, nil, Delivered}, {nil, io.ErrClosedPipe, Unknown}} {
		var first *httptrace.ClientTrace
		c, _ := over(tripFunc(func(r *http.Request) (*http.Response, error) {
			trace := httptrace.ContextClientTrace(r.Context())
			trace.GotConn(httptrace.GotConnInfo{})
			if first == nil {
				first = trace
				return answer(307, "Location: /there"), nil
			}
			first.WroteRequest(httptrace.WroteRequestInfo{Err: row.first})
			trace.WroteRequest(httptrace.WroteRequestInfo{Err: row.second})
			return answer(201, ""), nil
		}), exact)
		resp, err := c.Do(request(t, "POST", "x"))
		check(t, "outcome", OutcomeOf(resp, err).Outcome, row.want)
		if resp != nil {
			resp.Body.Close()
		}
	}
}
