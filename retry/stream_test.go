package retry

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock/penstock/internal/memnet"
)

// duplex returns a client for a server that sends back what it is sent, over HTTP/2.
func duplex(t *testing.T, limit int64) *Client {
	l := memnet.Listen()
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	srv := &http.Server{Protocols: protocols,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			http.NewResponseController(w).Flush()
			b := make([]byte, 100)
			for sent := int64(0); sent < limit; {
				n, err := r.Body.Read(b)
				w.Write(b[:n])
				http.NewResponseController(w).Flush()
				if sent += int64(n); err != nil {
					return
				}
			}
		})}
	go srv.Serve(l)
	tr := &http.Transport{DialContext: l.DialContext, Protocols: protocols}
	t.Cleanup(func() {
		tr.CloseIdleConnections()
		srv.Close()
		time.Sleep(time.Second)
	})
	return &Client{HTTP: &http.Client{Transport: tr}, Policy: exact}
}

// An answer may be a conversation: it comes before the body ends, and depends on what is written
// after it came.
func TestStandardClientIsFullDuplex(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := duplex(t, 1<<20)
		var ended Event
		c.Observe = func(e Event) { ended = e }
		body, w := io.Pipe()
		start := time.Now()
		resp, err := c.StandardClient().Post("http://h.example/", "", body)
		if err != nil {
			t.Fatal(err)
		}
		check(t, "time until the head", time.Since(start), time.Duration(0))
		for range 3 {
			time.Sleep(5 * time.Second)
			io.WriteString(w, "ping")
			got := make([]byte, 4)
			if _, err := io.ReadFull(resp.Body, got); err != nil || string(got) != "ping" {
				t.Errorf("%q, %v", got, err)
			}
		}
		r := OutcomeOf(resp, nil)
		check(t, "outcome meanwhile", r.Outcome, Unknown)
		check(t, "event", ended.Outcome, Unknown)
		check(t, "reason", ended.Reason, reasonEarly)
		check(t, "uncertain event", ended.Uncertain, true)
		if r.Err == nil || !r.Uncertain ||
			r.Err.Error() != "POST http://h.example/: 200, but its body is still being sent" {
			t.Errorf("%+v", r)
		}
		w.Close()
		if rest, err := io.ReadAll(resp.Body); err != nil || len(rest) > 0 {
			t.Errorf("%q, %v", rest, err)
		}
		resp.Body.Close()
		check(t, "result at the end", OutcomeOf(resp, nil),
			Result{Outcome: Delivered, Attempts: 1, Status: 200})
	})
}

// A server that reads no more has not taken the rest.
func TestStandardClientsStreamThatIsCutShort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := duplex(t, 4)
		body, w := io.Pipe()
		resp, err := c.StandardClient().Post("http://h.example/", "", body)
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(w, "ping")
		io.ReadAll(resp.Body)
		synctest.Wait()
		r := OutcomeOf(resp, nil)
		check(t, "outcome", r.Outcome, Unknown)
		if !strings.HasSuffix(r.Err.Error(), reasonEarly) {
			t.Error(r.Err)
		}
		resp.Body.Close()
		w.Close()
	})
}

// What has a length, or can be sent again, is an upload, and its early answer is judged as with Do.
func TestStandardClientsUploadIsNoStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := duplex(t, 4)
		body, w := io.Pipe()
		go io.WriteString(w, "ping")
		req, _ := http.NewRequest("POST", "http://h.example/", body)
		req.ContentLength = 100
		_, err := c.StandardClient().Do(req)
		check(t, "outcome", OutcomeOf(nil, err).Outcome, Unknown)
		w.Close()
	})
}
