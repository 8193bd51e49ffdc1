package verify

import (
	"context"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"fmt"
	"hash"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/penstock/penstock/internal/filebody"
	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/internal/memnet"
	"github.com/penstock/penstock/internal/test"
	"github.com/penstock/penstock/internal/wire"
	"github.com/penstock/penstock/throttle"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// onDisk makes an item of a file with that content.
func onDisk(t testing.TB, method, url, content string) item.Item {
	t.Helper()
	name := filepath.Join(t.TempDir(), "f")
	test.OK(t, os.WriteFile(name, []byte(content), 0o600))
	info, err := os.Stat(name)
	test.OK(t, err)
	return item.Item{Method: method, URL: url, Path: name, Fingerprint: item.FingerprintOf(info),
		Content: filebody.File(name)}
}

// askOnFakeTime runs do with a verifier whose server is the handler, on fake time.
func askOnFakeTime(t *testing.T, handler http.HandlerFunc, do func(t *testing.T, v *Verifier)) {
	synctest.Test(t, func(t *testing.T) {
		net := memnet.Listen()
		var handling sync.WaitGroup
		handle := func(w http.ResponseWriter, r *http.Request) {
			handling.Add(1)
			defer handling.Done()
			handler(w, r)
		}
		server := &http.Server{Handler: http.HandlerFunc(handle)}
		go server.Serve(net)
		defer func() {
			server.Close()
			synctest.Wait()
			handling.Wait()
		}()
		base := &wire.Transport{Network: wire.Network{Dial: net.DialContext}, MaxIdle: 4}
		transport := &throttle.Transport{Base: base}
		defer transport.CloseIdleConnections()
		do(t, &Verifier{Client: &http.Client{Transport: transport}})
	})
}

// handled is a client that asks a handler without a network.
type handled http.HandlerFunc

func (h handled) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	h(w, r)
	resp := w.Result()
	resp.Request = r
	resp.ContentLength = -1
	if n, err := strconv.ParseInt(resp.Header.Get("Content-Length"), 10, 64); err == nil {
		resp.ContentLength = n
	}
	if r.Method == http.MethodHead {
		resp.Body = http.NoBody
	}
	return resp, nil
}

// asking returns a verifier that asks a handler without a network.
func asking(h http.HandlerFunc) *Verifier {
	return &Verifier{Client: &http.Client{Transport: handled(h)}}
}

func sfv(h hash.Hash, content string) string {
	h.Write([]byte(content))
	return ":" + base64.StdEncoding.EncodeToString(h.Sum(nil)) + ":"
}

func tag(h hash.Hash, content string) string {
	h.Write([]byte(content))
	return fmt.Sprintf(`"%x"`, h.Sum(nil))
}

func noHeader() http.Header { return nil }

// [verify] The server is asked about files in doubt, and what it answers decides.
func TestCheck(t *testing.T) {
	type fields map[string]string
	type answer struct {
		status int
		fields fields
		body   string
	}
	// of is a head that describes a content.
	of := func(content string, more fields) answer {
		f := fields{"Content-Length": strconv.Itoa(len(content))}
		for name, v := range more {
			f[name] = v
		}
		return answer{200, f, ""}
	}
	digest := func(content string) string { return "sha-256=" + sfv(sha256.New(), content) }
	empty := "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:"
	for _, c := range []struct {
		name      string
		head, get answer // no status in get: it is not to be asked
		verdict   Verdict
		note      string
	}{
		{"length", of("hello", nil), answer{200, nil, "hello"}, There, "its SHA-256"},
		{"length, of an older version", of("hello", nil), answer{200, nil, "hullo"}, Other,
			"the server's copy has another SHA-256"},
		{"length, and GET not allowed", of("hello", nil), answer{405, nil, ""}, CannotTell,
			"the server answers 405 Method Not Allowed"},
		{"length and date", of("hello", fields{"Last-Modified": "Sat, 01 Jan 2000 00:00:00 GMT"}),
			answer{}, There, "its length and date"},
		{"length and an old date", of("hello",
			fields{"Last-Modified": "Fri, 31 Dec 1999 00:00:00 GMT"}), answer{200, nil, "hello"},
			There, "its SHA-256"},
		{"another length", of("hello!", nil), answer{}, Other,
			"the server's copy has 6 bytes, the file 5 bytes"},
		{"Repr-Digest", of("hello", fields{"Repr-Digest": digest("hello")}), answer{}, There,
			"its SHA-256"},
		{"another Repr-Digest", of("hullo", fields{"Repr-Digest": digest("hullo")}), answer{},
			Other, "the server's copy has another SHA-256"},
		{"Repr-Digest, no length", answer{200, fields{"Repr-Digest": digest("hello")}, ""},
			answer{}, There, "its SHA-256"},
		{"SHA-512", of("hello", fields{"Repr-Digest": "sha-512=" + sfv(sha512.New(), "hello")}),
			answer{}, There, "its SHA-512"},
		{"another SHA-512", of("hello",
			fields{"Repr-Digest": "sha-512=" + sfv(sha512.New(), "hullo")}), answer{}, Other,
			"the server's copy has another SHA-512"},
		{"both, SHA-256 decides", of("hello",
			fields{"Repr-Digest": "sha-512=:AAAA:, " + digest("hello")}), answer{}, There,
			"its SHA-256"},
		{"an algorithm that proves nothing", of("hello",
			fields{"Repr-Digest": "md5=" + sfv(md5.New(), "hullo")}), answer{200, nil, "hello"},
			There, "its SHA-256"},
		{"digest of another size", of("hello", fields{"Repr-Digest": "sha-256=:AAAA:"}),
			answer{200, nil, "hello"}, There, "its SHA-256"},
		{"Content-Digest", of("hello", fields{"Content-Digest": digest("hello")}), answer{}, There,
			"its SHA-256"},
		{"Content-Digest of HEAD's own content", of("hello", fields{"Content-Digest": empty}),
			answer{200, nil, "hello"}, There, "its SHA-256"},

		{"MD5", of("hello", fields{"Etag": tag(md5.New(), "hello")}), answer{}, There, "its MD5"},
		{"SHA-1", of("hello", fields{"Etag": tag(sha1.New(), "hello")}), answer{}, There,
			"its SHA-1"},
		{"SHA-256", of("hello", fields{"Etag": strings.ToUpper(tag(sha256.New(), "hello"))}),
			answer{}, There, "its SHA-256"},
		{"a tag that may be a hash", of("hello", fields{"Etag": tag(md5.New(), "x")}),
			answer{200, nil, "hello"}, There, "its SHA-256"},
		{"a tag that was a hash", of("hullo", fields{"Etag": tag(md5.New(), "hullo")}),
			answer{200, nil, "hullo"}, Other, "the server's copy has another SHA-256"},
		{"a weak tag", of("hello", fields{"Etag": "W/" + tag(md5.New(), "hello")}),
			answer{200, nil, "hello"}, There, "its SHA-256"},
		{"a tag of parts", of("hello",
			fields{"Etag": `"` + strings.Trim(tag(md5.New(), "x"), `"`) + `-2"`}),
			answer{200, nil, "hello"}, There, "its SHA-256"},
		{"a tag that is none", of("hello", fields{"Etag": `"deadbeef"`}), answer{200, nil, "hello"},
			There, "its SHA-256"},

		{"HEAD not allowed", answer{405, nil, ""}, answer{200, nil, "hello"}, There, "its SHA-256"},
		{"HEAD not implemented", answer{501, nil, ""}, answer{200, nil, "hullo"}, Other,
			"the server's copy has another SHA-256"},
		{"no length", answer{200, nil, ""}, answer{200, nil, "hello"}, There, "its SHA-256"},
		{"length of HEAD's own content", answer{200, fields{"Content-Length": "0"}, ""},
			answer{200, nil, "hello"}, There, "its SHA-256"},
		{"GET is longer", answer{405, nil, ""}, answer{200, fields{"X-Chunked": "1"}, "hello!"},
			Other, "the server's copy is longer than the file"},
		{"GET is shorter", answer{405, nil, ""}, answer{200, fields{"X-Chunked": "1"}, "hell"},
			Other, "the server's copy has 4 bytes, the file 5 bytes"},
		{"GET says that it is longer", answer{405, nil, ""}, answer{200, nil, "hello!"}, Other,
			"the server's copy has 6 bytes, the file 5 bytes"},
		{"GET is empty", answer{405, nil, ""}, answer{200, nil, ""}, Other,
			"the server's copy has 0 bytes, the file 5 bytes"},
		{"GET tells by its head", answer{405, nil, ""},
			answer{200, fields{"Content-Digest": digest("hullo")}, "hullo"}, Other,
			"the server's copy has another SHA-256"},
		{"GET not allowed", answer{405, nil, ""}, answer{405, nil, ""}, CannotTell,
			"the server answers 405 Method Not Allowed"},

		{"absent", answer{404, nil, ""}, answer{404, nil, "not here"}, Absent, "nothing is there"},
		{"gone", answer{410, nil, ""}, answer{410, nil, ""}, Absent, "nothing is there"},
		{"HEAD not known", answer{404, nil, ""}, answer{200, nil, "hello"}, There, "its SHA-256"},
		{"absent, and hidden", answer{404, nil, ""}, answer{403, nil, ""}, CannotTell,
			"the server answers 403 Forbidden"},

		{"no credentials", answer{401, nil, ""}, answer{}, CannotTell,
			"the server answers 401 Unauthorized"},
		{"forbidden", answer{403, nil, ""}, answer{}, CannotTell,
			"the server answers 403 Forbidden"},
		{"overload", answer{503, nil, ""}, answer{}, CannotTell,
			"the server answers 503 Service Unavailable"},
		{"no such status", answer{599, nil, ""}, answer{}, CannotTell, "the server answers 599"},
		{"no content", answer{204, nil, ""}, answer{}, CannotTell,
			"the server answers 204 No Content"},
		{"redirect", answer{302, fields{"Location": "/secret"}, ""}, answer{}, CannotTell,
			"the server answers 302, a redirect, which is not followed"},
		{"redirect elsewhere", answer{307, fields{"Location": "http://elsewhere/secret"}, ""},
			answer{}, CannotTell, "the server answers 307, a redirect, which is not followed"},
		{"compressed", of("hello", fields{"Content-Encoding": "gzip"}), answer{}, CannotTell,
			"the server answers with compressed content"},
		{"not compressed", of("hello", fields{"Content-Encoding": "identity"}),
			answer{200, nil, "hello"}, There, "its SHA-256"},
	} {
		t.Run(c.name, func(t *testing.T) {
			it := onDisk(t, "PUT", "http://h/f?sig=secret", "hello")
			var asked, want []string
			if want = append(want, "HEAD h/f?sig=secret"); c.get.status != 0 {
				want = append(want, "GET h/f?sig=secret")
			}
			askOnFakeTime(t, func(w http.ResponseWriter, r *http.Request) {
				asked = append(asked, r.Method+" "+r.Host+r.RequestURI)
				a := c.head
				if r.Method == "GET" {
					a = c.get
				}
				for name, v := range a.fields {
					w.Header().Set(name, v)
				}
				w.WriteHeader(a.status)
				if a.fields["X-Chunked"] != "" {
					w.(http.Flusher).Flush()
				}
				io.WriteString(w, a.body)
			}, func(t *testing.T, v *Verifier) {
				got, note, err := v.Check(t.Context(), it,
					http.Header{"Authorization": {"Bearer secret"}}, Known{Began: time.Now()})
				if got != c.verdict || note != c.note || err != nil {
					t.Errorf("%v, %q, %v, want %v, %q", got, note, err, c.verdict, c.note)
				}
				if diff := cmp.Diff(want, asked); diff != "" {
					t.Errorf("asked, -want +got:\n%s", diff)
				}
			})
		})
	}
}

func TestEmptyFile(t *testing.T) {
	for body, want := range map[string]Verdict{"": There, "<html>": Other} {
		it := onDisk(t, "PUT", "http://h/f", "")
		v := asking(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == "HEAD" {
				w.Header().Set("Content-Length", "0")
			}
			io.WriteString(w, body)
		})
		got, note, err := v.Check(t.Context(), it, nil, Known{})
		if got != want || got == There && note != "its length, 0 bytes" || err != nil {
			t.Errorf("%q: %v, %q, %v", body, got, note, err)
		}
	}
}

// What a server tells of its content is true here, and may be anything in kind: no other content is
// then taken for the item's, unless all that is told is its length, and the item's own never for
// another.
func TestModel(t *testing.T) {
	contents := []string{"", "a", "b", "hello", "hullo", strings.Repeat("x", 300_000),
		strings.Repeat("x", 299_999) + "y"}
	var items []item.Item
	for _, content := range contents {
		items = append(items, onDisk(t, "PUT", "http://h/f", content))
	}
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, len(contents)-1).Draw(t, "file")
		has := rapid.SampledFrom(contents).Draw(t, "server has")
		told := map[string][]string{ // the right one, and some that mean nothing
			"Repr-Digest": {"sha-256=" + sfv(sha256.New(), has),
				"sha-512=" + sfv(sha512.New(), has), "sha-256=1", "md5=:AAAA:"},
			"Content-Digest": {"sha-256=" + sfv(sha256.New(), ""),
				"sha-256=" + sfv(sha256.New(), has)},
			"Etag": {tag(md5.New(), has), tag(sha1.New(), has), tag(sha256.New(), has),
				tag(md5.New(), "of the name"), `W/"x"`, `"x-2"`},
			"Last-Modified": {time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat),
				time.Now().UTC().Format(http.TimeFormat), "never"},
			"Content-Length": {strconv.Itoa(len(has))},
		}
		head := make(map[string]string)
		for name, values := range told {
			head[name] = rapid.SampledFrom(append(values, "")).Draw(t, name)
		}
		headStatus := rapid.SampledFrom([]int{200, 200, 200, 404, 405, 501}).Draw(t, "HEAD")
		getStatus := rapid.SampledFrom([]int{200, 200, 200, 403, 500}).Draw(t, "GET")
		gotten := false
		v := asking(func(w http.ResponseWriter, r *http.Request) {
			for name, value := range head {
				if value != "" && (name != "Content-Digest" || r.Method == "HEAD") {
					w.Header().Set(name, value)
				}
			}
			if r.Method == "HEAD" {
				w.WriteHeader(headStatus)
				return
			}
			gotten = true
			w.WriteHeader(getStatus)
			if getStatus == 200 {
				io.WriteString(w, has)
			}
		})
		got, note, err := v.Check(context.Background(), items[n], nil,
			Known{Began: time.Now().Add(-time.Minute)})
		test.OK(t, err)
		same := has == contents[n]
		switch {
		case got == Absent:
			t.Errorf("absent: it is not")
		case got == Other && same:
			t.Errorf("other (%s): it is the same", note)
		case got == There && !same && (note != "its length and date" ||
			len(has) != len(contents[n])):
			t.Errorf("there by %s: something else is", note)
		case got == There && note == "its length and date" && !same &&
			(gotten || head["Repr-Digest"] == told["Repr-Digest"][0] ||
				head["Etag"] == told["Etag"][0] ||
				head["Last-Modified"] == told["Last-Modified"][0]):
			t.Errorf("there by its length: there was more to compare")
		case got == CannotTell && headStatus == 200 && getStatus == 200:
			t.Errorf("cannot tell (%s): it was all there to see", note)
		}
	})
}

// A thing of the same length that was there before is not by its length the item.
func TestOlder(t *testing.T) {
	for _, c := range []struct {
		name     string
		modified time.Duration // after the attempt began, by the server's clock
		ahead    time.Duration // that clock
		began    bool
		older    bool // another content may be there
		want     string
	}{
		{"newer", time.Second, 0, true, false, "HEAD"},
		{"as old", -dateSlack, 0, true, false, "HEAD"},
		{"older", -dateSlack - time.Second, 0, true, false, "HEADGET"},
		{"older, clock ahead", -time.Minute, time.Hour, true, false, "HEADGET"},
		{"newer, clock behind", time.Second, -time.Hour, true, false, "HEAD"},
		{"not known when it began", time.Hour, 0, false, false, "HEADGET"},
		{"newer, of another content", time.Second, 0, true, true, "HEADGET"},
	} {
		it := onDisk(t, "PUT", "http://h/f", "hello")
		asked := ""
		want := Known{Older: c.older}
		askOnFakeTime(t, func(w http.ResponseWriter, r *http.Request) {
			asked += r.Method
			now := time.Now().Add(c.ahead)
			w.Header().Set("Date", now.UTC().Format(http.TimeFormat))
			w.Header().Set("Last-Modified",
				now.Add(-10*time.Second+c.modified).UTC().Format(http.TimeFormat))
			w.Header().Set("Content-Length", "5")
			io.WriteString(w, "hullo")
		}, func(t *testing.T, v *Verifier) {
			if c.began {
				want.Began = time.Now().Add(-10 * time.Second)
			}
			got, note, err := v.Check(t.Context(), it, nil, want)
			if (got == There) != (c.want == "HEAD") || asked != c.want || err != nil {
				t.Errorf("%s: %v, %q, %v, asked %s", c.name, got, note, err, asked)
			}
		})
	}
}
