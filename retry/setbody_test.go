package retry

import (
	"context"
	"errors"
	"io"
	"math"
	"mime"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock/penstock/internal/filebody"
)

// A bodyOf a test counts how often it was opened and closed.
type bodyOf struct {
	content        string
	opened, closed int
	err            error // of opening
}

func (b *bodyOf) open() (io.ReadCloser, error) {
	if b.err != nil {
		return nil, b.err
	}
	b.opened++
	return &countedBody{strings.NewReader(b.content), b}, nil
}

type countedBody struct {
	io.Reader
	of *bodyOf
}

func (b *countedBody) Close() error { b.of.closed++; return nil }

// A body of SetBody is opened when it is sent, once for each attempt, and has to be of its size.
func TestSetBody(t *testing.T) {
	boom := errors.New("boom")
	for _, test := range []struct {
		name   string
		body   bodyOf
		size   int64
		want   Outcome
		sent   string
		reason string // of the last event
	}{
		{"of its size", bodyOf{content: "data"}, 4, Delivered, "data data", ""},
		{"of unknown size", bodyOf{content: "data"}, -1, Delivered, "data data", ""},
		{"empty", bodyOf{}, 0, Delivered, " ", ""},
		{"too short", bodyOf{content: "dat"}, 4, Failed, "dat", reasonBodyLength},
		{"too long", bodyOf{content: "data5"}, 4, Failed, "data5", reasonBodyLength},
		{"cannot be opened", bodyOf{err: boom}, 4, Failed, "", reasonBody},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := play(try{status: 503}, try{status: 201})
			if test.want == Failed {
				// what net/http does with an error of a body
				s = play(try{err: boom, stage: connected})
			}
			c, events := over(s, exact)
			body := test.body
			req := request(t, "PUT", "old")
			SetBody(req, test.size, body.open)
			check(t, test.name+": length", req.ContentLength, test.size)
			check(t, test.name+": opened before", body.opened, 0)
			check(t, test.name+": outcome", end(t, c, req).Outcome, test.want)
			check(t, test.name+": sent", strings.Join(s.body, " "), test.sent)
			check(t, test.name+": closed", body.closed, body.opened)
			check(t, test.name+": reason", (*events)[len(*events)-1].Reason, test.reason)
		})
	}
}

// If the body cannot be opened nothing of it was sent, so that the outcome of a POST is known.
func TestSetBodyCannotBeOpened(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err == nil {
			t.Error("the server got a whole request")
		}
	}))
	defer srv.Close()
	for _, size := range []int64{4, -1} {
		for _, opens := range []bool{false, true} {
			req := request(t, "POST", "")
			req.URL.Host = srv.Listener.Addr().String()
			SetBody(req, size, func() (io.ReadCloser, error) {
				if !opens {
					return nil, errors.New("boom")
				}
				return io.NopCloser(io.MultiReader(strings.NewReader("x"),
					errReader{func() {}})), nil
			})
			want := Failed
			if opens {
				want = Unknown
			}
			r := end(t, &Client{HTTP: srv.Client()}, req)
			check(t, "outcome", r.Outcome, want)
			check(t, "uncertain", r.Uncertain, opens)
		}
	}
}

// Close does not wait for an open that takes long: net/http calls it when the caller goes.
func TestSetBodyIsClosedMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		body := bodyOf{content: "x"}
		req := request(t, "PUT", "")
		SetBody(req, 1, func() (io.ReadCloser, error) {
			time.Sleep(time.Hour)
			return body.open()
		})
		start := time.Now()
		read := make(chan error)
		go func() {
			_, err := req.Body.Read(make([]byte, 1))
			read <- err
		}()
		time.Sleep(time.Second)
		check(t, "error", req.Body.Close(), nil)
		check(t, "time passed", time.Since(start), time.Second)
		check(t, "read", <-read, http.ErrBodyReadAfterClose)
		check(t, "opened", body.opened, 1)
		check(t, "closed", body.closed, 1)
	})
}

// What was never read is not opened by Close, and not by a read after it.
func TestSetBodyIsClosedUnopened(t *testing.T) {
	body := bodyOf{content: "x"}
	req := request(t, "PUT", "")
	SetBody(req, 1, body.open)
	check(t, "error", errors.Join(req.Body.Close(), req.Body.Close()), nil)
	if n, err := req.Body.Read(make([]byte, 1)); n != 0 || err == nil {
		t.Errorf("read %d bytes, %v", n, err)
	}
	check(t, "opened", body.opened, 0)
}

// A form is sent with its length, as often as is needed, and a file that changes fails it.
func TestSetFormBody(t *testing.T) {
	for _, size := range []int{0, 10, filebody.MaxSmall + 1} {
		synctest.Test(t, func(t *testing.T) {
			content := strings.Repeat("x", size)
			path := file(t, content)
			req := request(t, "PUT", "old")
			if err := SetFormBody(req, "upload", path,
				url.Values{"id": {"7"}, "note": {"a", "b"}}); err != nil {
				t.Fatal(err)
			}
			s := play(try{status: 503}, try{status: 201})
			c, _ := over(s, exact)
			check(t, "outcome", end(t, c, req).Outcome, Delivered)
			check(t, "same twice", s.body[0] == s.body[1], true)
			check(t, "length", int64(len(s.body[0])), req.ContentLength)
			_, params, _ := mime.ParseMediaType(s.reqs[0].Header.Get("Content-Type"))
			form, err := multipart.NewReader(strings.NewReader(s.body[0]),
				params["boundary"]).ReadForm(1 << 20)
			if err != nil {
				t.Fatal(err)
			}
			check(t, "fields", strings.Join(append(form.Value["note"], form.Value["id"]...), " "),
				"a b 7")
			header := form.File["upload"][0]
			check(t, "name", header.Filename, "f.bin")
			f, err := header.Open()
			if err != nil {
				t.Fatal(err)
			}
			got, _ := io.ReadAll(f)
			check(t, "content", string(got) == content, true)

			if err := SetFormBody(req, "upload", path, nil); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte("other"), 0o600); err != nil {
				t.Fatal(err)
			}
			if r := end(t, c, req); r.Outcome != Failed || !errors.Is(r.Err, ErrFileChanged) {
				t.Errorf("%d bytes, changed: %v, %v", size, r.Outcome, r.Err)
			}
		})
	}
	req := request(t, "PUT", "old")
	if err := SetFormBody(req, "f", t.TempDir(), nil); err == nil || req.ContentLength != 3 {
		t.Errorf("a directory: %v, length %d", err, req.ContentLength)
	}
}

// A body without GetBody is kept and repeated if it is small enough.
func TestBuffer(t *testing.T) {
	for _, test := range []struct {
		name    string
		length  int64 // of the request
		content string
		buffer  int64
		want    Outcome
		sent    string
		framed  int64 // ContentLength of the last attempt
	}{
		{"no buffer", -1, "data", 0, Deferred, "data", -1},
		{"as long as the buffer", -1, "data", 4, Delivered, "data data", 4},
		{"longer", -1, "data", 3, Deferred, "data", -1},
		{"no bound", -1, "data", math.MaxInt64, Delivered, "data data", 4},
		{"length known", 4, "data", 4, Delivered, "data data", 4},
		{"length known, longer", 4, "data", 3, Deferred, "data", 4},
		{"length not said", 0, "data", 9, Delivered, "data data", 4},
		{"empty", -1, "", 9, Delivered, " ", 0},
		{"shorter than said", 5, "data", 9, Failed, "data", 5},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := play(try{status: 503}, try{status: 201})
				if test.want == Failed {
					s = play(try{err: errReset, stage: connected})
				}
				c, _ := over(s, exact)
				c.Buffer = test.buffer
				req := request(t, "PUT", "")
				body := &bodyOf{content: test.content}
				req.Body, _ = body.open()
				given := req.Body
				req.ContentLength = test.length
				resp, err := c.Do(req)
				check(t, "outcome", OutcomeOf(resp, err).Outcome, test.want)
				check(t, "sent", strings.Join(s.body, " "), test.sent)
				check(t, "framed", s.reqs[len(s.reqs)-1].ContentLength, test.framed)
				check(t, "closed", body.closed > 0, true)
				if req.Body != given || req.GetBody != nil || req.ContentLength != test.length {
					t.Error("the caller's request was changed")
				}
			})
		})
	}
}

// A fleeting body can be opened again until something has happened.
type fleeting struct {
	io.ReadCloser
	lost error
}

func (b fleeting) Again(filebody.Sent) error { return b.lost }

// What is known not to be openable again ends the call before its wait, with the answer.
func TestFleetingBody(t *testing.T) {
	gone := errors.New("the disk is full")
	for _, lost := range []error{nil, gone} {
		synctest.Test(t, func(t *testing.T) {
			c, events := over(play(try{status: 503, header: "Retry-After: 60"}, try{status: 201}),
				exact)
			req := request(t, "PUT", "x")
			req.Body = fleeting{req.Body, lost}
			start := time.Now()
			r := end(t, c, req)
			if lost == nil {
				check(t, "outcome", r.Outcome, Delivered)
				return
			}
			check(t, "outcome", r.Outcome, Deferred)
			check(t, "status", r.Status, 503)
			check(t, "time passed", time.Since(start), time.Duration(0))
			check(t, "may be sent again", r.RetryAt.Sub(start), time.Minute)
			check(t, "cause", errors.Is(r.Err, gone), true)
			check(t, "reason", (*events)[0].Reason, reasonNoGetBody)
		})
	}
}

// A body that cannot be kept ends the call, which is reported like any other end.
func TestBufferFails(t *testing.T) {
	for _, cancelled := range []bool{false, true} {
		c, events := over(play(try{status: 201}), exact)
		c.Buffer = 9
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		want, reason, text := Failed, reasonBody, "unexpected EOF"
		if cancelled {
			want, reason, text = Deferred, reasonCancelled, "unexpected EOF: context canceled"
		}
		req := request(t, "PUT", "").WithContext(ctx)
		closed := bodyOf{}
		req.Body = &countedBody{io.MultiReader(strings.NewReader("x"), errReader{func() {
			if cancelled {
				cancel()
			}
		}}), &closed}
		r := end(t, c, req)
		check(t, "closed", closed.closed, 1)
		check(t, "outcome", r.Outcome, want)
		check(t, "attempts", r.Attempts, 0)
		check(t, "text", r.Err.Error(),
			"PUT http://h.example/up/f.bin: its body cannot be read: "+text)
		check(t, "events", len(*events), 1)
		check(t, "reason", (*events)[0].Reason, reason)
	}
}

type errReader struct{ failing func() }

func (r errReader) Read([]byte) (int, error) {
	r.failing()
	return 0, io.ErrUnexpectedEOF
}
