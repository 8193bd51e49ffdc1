package lab

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock/penstock/internal/test"
)

// What a client of net/http makes of each kind, with 10 s of patience.
func TestHostile(t *testing.T) {
	const patience = 10 * time.Second
	tests := []struct {
		params       string
		status       int
		err          string // part of it
		after        time.Duration
		faults       int64
		accepted     int64
		answered     int64
		unansweredBy int64
	}{
		{"kind=redirect", 0, "stopped after 10 redirects", 0, 10, 0, 0, 0},
		{"kind=redirects", 0, "stopped after 10 redirects", 0, 10, 0, 0, 0},
		{"kind=drip", 201, "deadline exceeded", patience, 1, 1, 0, 1},
		{"kind=drip&status=503", 503, "deadline exceeded", patience, 1, 0, 0, 1},
		{"kind=header", 0, "server response headers exceeded", 0, 1, 1, 0, 1},
		{"kind=header&size=1KiB", 201, "", 0, 1, 1, 1, 0},
		{"kind=headers", 0, "server response headers exceeded", 0, 1, 1, 0, 1},
		{"kind=headers&count=100", 201, "", 0, 1, 1, 1, 0},
		{"kind=slowhead", 0, "deadline exceeded", patience, 1, 1, 0, 1},
		{"kind=slowhead&interval=100ms", 201, "", 4200 * time.Millisecond, 1, 1, 1, 0},
		{"kind=informational", 0, "server response headers exceeded", 0, 1, 0, 0, 1},
		{"kind=processing", 0, "deadline exceeded", patience, 1, 0, 0, 1},
		{"kind=wronglength", 201, "deadline exceeded", patience, 1, 1, 0, 1},
		{"kind=wronglength&length=3", 201, "", 0, 1, 1, 0, 1},
		{"kind=wronglength&length=-1", 0, "bad Content-Length", 0, 1, 1, 0, 1},
		{"kind=garbage", 0, "malformed HTTP response", 0, 1, 0, 0, 1},
	}
	for _, tt := range tests {
		t.Run(tt.params, func(t *testing.T) {
			bubble(t, "hostile", tt.params, func(t *testing.T, b *bench) {
				b.client.Timeout = patience
				resp, err := b.client.Do(b.request("PUT", "/x", "hello"))
				status := 0
				if err == nil {
					status = resp.StatusCode
					_, err = io.ReadAll(resp.Body)
					resp.Body.Close()
				}
				after := time.Since(b.start)
				if status != tt.status || after != tt.after || (err == nil) != (tt.err == "") ||
					err != nil && !strings.Contains(err.Error(), tt.err) {
					t.Errorf("status %d, error %v after %v; want %d, %s after %v", status, err,
						after, tt.status, tt.err, tt.after)
				}
				b.client.CloseIdleConnections()
				time.Sleep(time.Hour) // for it to see that the client has gone
				s := b.Stats()
				kind, _, _ := strings.Cut(strings.TrimPrefix(tt.params, "kind="), "&")
				if s.Faults[kind] != tt.faults || s.Accepted != tt.accepted ||
					s.Answered != tt.answered || s.Unanswered != tt.unansweredBy {
					t.Errorf("%+v", s)
				}
			})
		})
	}
}

func TestHostileRedirects(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for kind, want := range map[string][]string{
			"redirect":  {"/a?b=c", "/a?b=c"},
			"redirects": {"/-/redirect/1", "/-/redirect/2"},
		} {
			b := newBench(t, "hostile", "kind="+kind)
			b.client.CheckRedirect = func(*http.Request, []*http.Request) error {
				return http.ErrUseLastResponse
			}
			var got []string
			for range 2 {
				a := b.put("/a?b=c", "")
				if a.status != 307 {
					t.Errorf("status %d", a.status)
				}
				got = append(got, a.header.Get("Location"))
			}
			b.want(kind, got, want)
		}
	})
}

// An answer without end goes on for as long as somebody reads.
func TestHostileEndless(t *testing.T) {
	for _, kind := range []string{"body", "gzip"} {
		bubble(t, "hostile", "kind="+kind+"&status=500", func(t *testing.T, b *bench) {
			resp, err := b.client.Do(b.request("PUT", "/x", "hello"))
			test.OK(t, err)
			const much = 100 << 20
			n, err := io.CopyN(io.Discard, resp.Body, much)
			if n != much || err != nil || resp.StatusCode != 500 ||
				resp.Uncompressed != (kind == "gzip") {
				t.Errorf("%s: status %d, %d bytes, error %v, uncompressed %v", kind,
					resp.StatusCode, n, err, resp.Uncompressed)
			}
			resp.Body.Close()
			synctest.Wait()
			if s := b.Stats(); s.Unanswered != 1 || s.Accepted != 0 {
				t.Errorf("%+v", s)
			}
		})
	}
	z, err := gzip.NewReader(strings.NewReader(zeros()))
	test.OK(t, err)
	plain, err := io.ReadAll(z)
	if err != nil || !bytes.Equal(plain, make([]byte, 1<<20)) || len(zeros()) > 1100 {
		t.Errorf("%d bytes become %d, error %v", len(zeros()), len(plain), err)
	}
}

// The answer comes before the body, of which not a byte is read, and then nothing more happens.
func TestHostileEarly(t *testing.T) {
	bubble(t, "hostile", "kind=early&status=413", func(t *testing.T, b *bench) {
		conn := b.dial()
		defer conn.Close()
		fmt.Fprint(conn, "PUT /x HTTP/1.1\r\nHost: lab\r\nContent-Length: 1000000000\r\n\r\n")
		answers := bufio.NewReader(conn)
		resp, err := http.ReadResponse(answers, nil)
		if err != nil || resp.StatusCode != 413 {
			t.Fatalf("%v, %v", resp, err)
		}
		conn.SetDeadline(time.Now().Add(time.Hour))
		n, err := conn.Write(make([]byte, 10<<20))
		if n > 1<<20 || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%d bytes of the body were taken, then %v", n, err)
		}
		if _, err := answers.ReadByte(); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("after the answer: %v", err)
		}
		if s := b.Stats(); s.ByStatus[413] != 1 || s.Accepted != 0 {
			t.Errorf("%+v", s)
		}
	})
}

// It answers questions about what is stored in the same way, and counts none as an upload.
func TestHostileLook(t *testing.T) {
	for _, kind := range hostileKinds.names() {
		bubble(t, "hostile", "kind="+kind+"&interval=0s&size=1KiB&count=3",
			func(t *testing.T, b *bench) {
				b.client.Timeout = 10 * time.Second
				b.client.Transport.(*http.Transport).MaxResponseHeaderBytes = 64 << 10
				resp, err := b.client.Do(b.request("HEAD", "/x", ""))
				if err == nil {
					resp.Body.Close()
				}
				b.client.CloseIdleConnections()
				synctest.Wait()
				s := b.Stats()
				if s.Looked == 0 || s.Looked != s.Faults[kind] || s.Requests != 0 ||
					s.Accepted != 0 {
					t.Errorf("%s: %+v", kind, s)
				}
			})
	}
}

// Closing ends all of them, whatever they are in the middle of.
func TestHostileClose(t *testing.T) {
	for _, kind := range hostileKinds.names() {
		t.Run(kind, func(t *testing.T) {
			s, l := startTCP(t, "hostile", "kind="+kind)
			conn, err := net.Dial("tcp", l.Addr().String())
			test.OK(t, err)
			defer conn.Close()
			fmt.Fprintf(conn, "PUT /x HTTP/1.1\r\nHost: lab\r\nContent-Length: 1\r\n\r\nx")
			var first [1]byte
			if _, err := io.ReadFull(conn, first[:]); err != nil {
				t.Fatal(err)
			}
			s.Close()
			got := s.Stats()
			if ended := got.Answered + got.Refused + got.Unanswered; got.Requests != 1 ||
				ended != 1 {
				t.Errorf("%+v", got)
			}
		})
	}
}

func TestHostileKindsAreListed(t *testing.T) {
	i := slices.IndexFunc(Presets(), func(p Preset) bool { return p.Name == "hostile" })
	if got := Presets()[i].Kinds; len(got) != len(hostileKinds) || got[0].Name != "redirect" ||
		got[0].Help == "" {
		t.Errorf("%v", got)
	}
}
