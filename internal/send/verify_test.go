package send

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/penstock/penstock/internal/digest"
	"github.com/penstock/penstock/internal/exit"
	"github.com/penstock/penstock/internal/filebody"
	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/internal/memnet"
	"github.com/penstock/penstock/internal/wire"
	"github.com/penstock/penstock/retry"
	"github.com/penstock/penstock/throttle"
)

// onDisk makes an item of a file with that content.
func onDisk(t *testing.T, method, url, content string) item.Item {
	t.Helper()
	name := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(name)
	if err != nil {
		t.Fatal(err)
	}
	return item.Item{Method: method, URL: url, Path: name, Fingerprint: item.FingerprintOf(info), Content: filebody.File(name)}
}

// askOnFakeTime runs do with a verifier whose server is the handler, on fake
// time.
func askOnFakeTime(t *testing.T, handler http.HandlerFunc, do func(t *testing.T, v *verifier)) {
	synctest.Test(t, func(t *testing.T) {
		net := memnet.Listen()
		var handling sync.WaitGroup
		server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			handling.Add(1)
			defer handling.Done()
			handler(w, r)
		})}
		go server.Serve(net)
		defer func() {
			server.Close()
			synctest.Wait()
			handling.Wait()
		}()
		transport := &throttle.Transport{Base: &wire.Transport{Network: wire.Network{Dial: net.DialContext}, MaxIdle: 4}}
		defer transport.CloseIdleConnections()
		do(t, &verifier{client: &http.Client{Transport: transport}})
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

func sfv(h hash.Hash, content string) string {
	h.Write([]byte(content))
	return ":" + base64.StdEncoding.EncodeToString(h.Sum(nil)) + ":"
}

func tag(h hash.Hash, content string) string {
	h.Write([]byte(content))
	return fmt.Sprintf(`"%x"`, h.Sum(nil))
}

func noHeader() http.Header { return nil }

// What earlier runs have delivered shows whether a server keeps what it is posted.
func TestVerifyByEarlierDeliveries(t *testing.T) {
	stored := make(map[string]string)
	var posts int
	onFakeTime(t, 4, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		switch {
		case r.Header.Get("Authorization") != "Bearer t":
			w.WriteHeader(http.StatusUnauthorized)
		case r.Method == "POST":
			if posts++; posts == 4 {
				w.WriteHeader(http.StatusInternalServerError) // and it keeps nothing
				return
			}
			stored[r.URL.Path] = string(body)
			w.WriteHeader(http.StatusCreated)
		case stored[r.URL.Path] == "":
			w.WriteHeader(http.StatusNotFound)
		default:
			_, _ = io.WriteString(w, stored[r.URL.Path])
		}
	}, func(w *world) {
		w.Limits.InFlight = 1
		w.Header = http.Header{"Authorization": {"Bearer t"}}
		w.method("POST")
		name := filepath.Join(w.TempDir(), "j.db")
		w.journal(name)
		w.ended(w.run(), exit.Items, 3, 0, 1, 0, 0)
		w.Verify = true
		w.journal(name)
		s := w.run()
		if s.Items.Delivered != 1 || s.Items.Skipped != 3 || posts != 5 {
			t.Errorf("%d posts, %+v\n%s", posts, s.Items, errorsOf(s))
		}
		if want := "--verify: of the files in doubt the server had 0; 1 was sent again, since it did not have it"; !slices.Contains(s.Notes, want) {
			t.Errorf("notes %q, want %q", s.Notes, want)
		}
	})
}

// [verify] The server is asked about files in doubt, and what it answers decides.
func TestVerify(t *testing.T) {
	type fields map[string]string
	type answer struct {
		status int
		fields fields
		body   string
	}
	// of is a head that tells of a content.
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
		verdict   verdict
		note      string
	}{
		{"length", of("hello", nil), answer{200, nil, "hello"}, there, "its SHA-256"},
		{"length, of an older version", of("hello", nil), answer{200, nil, "hullo"}, other, "the server's copy has another SHA-256"},
		{"length, and GET not allowed", of("hello", nil), answer{405, nil, ""}, cannotTell, "the server answers 405 Method Not Allowed"},
		{"length and date", of("hello", fields{"Last-Modified": "Sat, 01 Jan 2000 00:00:00 GMT"}), answer{}, there, "its length and date"},
		{"length and an old date", of("hello", fields{"Last-Modified": "Fri, 31 Dec 1999 00:00:00 GMT"}), answer{200, nil, "hello"}, there, "its SHA-256"},
		{"another length", of("hello!", nil), answer{}, other, "the server's copy has 6 bytes, the file 5 bytes"},
		{"Repr-Digest", of("hello", fields{"Repr-Digest": digest("hello")}), answer{}, there, "its SHA-256"},
		{"another Repr-Digest", of("hullo", fields{"Repr-Digest": digest("hullo")}), answer{}, other, "the server's copy has another SHA-256"},
		{"Repr-Digest, no length", answer{200, fields{"Repr-Digest": digest("hello")}, ""}, answer{}, there, "its SHA-256"},
		{"SHA-512", of("hello", fields{"Repr-Digest": "sha-512=" + sfv(sha512.New(), "hello")}), answer{}, there, "its SHA-512"},
		{"another SHA-512", of("hello", fields{"Repr-Digest": "sha-512=" + sfv(sha512.New(), "hullo")}), answer{}, other, "the server's copy has another SHA-512"},
		{"both, SHA-256 decides", of("hello", fields{"Repr-Digest": "sha-512=:AAAA:, " + digest("hello")}), answer{}, there, "its SHA-256"},
		{"an algorithm that proves nothing", of("hello", fields{"Repr-Digest": "md5=" + sfv(md5.New(), "hullo")}), answer{200, nil, "hello"}, there, "its SHA-256"},
		{"digest of another size", of("hello", fields{"Repr-Digest": "sha-256=:AAAA:"}), answer{200, nil, "hello"}, there, "its SHA-256"},
		{"Content-Digest", of("hello", fields{"Content-Digest": digest("hello")}), answer{}, there, "its SHA-256"},
		{"Content-Digest of HEAD's own content", of("hello", fields{"Content-Digest": empty}), answer{200, nil, "hello"}, there, "its SHA-256"},

		{"MD5", of("hello", fields{"Etag": tag(md5.New(), "hello")}), answer{}, there, "its MD5"},
		{"SHA-1", of("hello", fields{"Etag": tag(sha1.New(), "hello")}), answer{}, there, "its SHA-1"},
		{"SHA-256", of("hello", fields{"Etag": strings.ToUpper(tag(sha256.New(), "hello"))}), answer{}, there, "its SHA-256"},
		{"a tag that may be a hash", of("hello", fields{"Etag": tag(md5.New(), "x")}), answer{200, nil, "hello"}, there, "its SHA-256"},
		{"a tag that was a hash", of("hullo", fields{"Etag": tag(md5.New(), "hullo")}), answer{200, nil, "hullo"}, other, "the server's copy has another SHA-256"},
		{"a weak tag", of("hello", fields{"Etag": "W/" + tag(md5.New(), "hello")}), answer{200, nil, "hello"}, there, "its SHA-256"},
		{"a tag of parts", of("hello", fields{"Etag": `"` + strings.Trim(tag(md5.New(), "x"), `"`) + `-2"`}), answer{200, nil, "hello"}, there, "its SHA-256"},
		{"a tag that is none", of("hello", fields{"Etag": `"deadbeef"`}), answer{200, nil, "hello"}, there, "its SHA-256"},

		{"HEAD not allowed", answer{405, nil, ""}, answer{200, nil, "hello"}, there, "its SHA-256"},
		{"HEAD not implemented", answer{501, nil, ""}, answer{200, nil, "hullo"}, other, "the server's copy has another SHA-256"},
		{"no length", answer{200, nil, ""}, answer{200, nil, "hello"}, there, "its SHA-256"},
		{"length of HEAD's own content", answer{200, fields{"Content-Length": "0"}, ""}, answer{200, nil, "hello"}, there, "its SHA-256"},
		{"GET is longer", answer{405, nil, ""}, answer{200, fields{"X-Chunked": "1"}, "hello!"}, other, "the server's copy is longer than the file"},
		{"GET is shorter", answer{405, nil, ""}, answer{200, fields{"X-Chunked": "1"}, "hell"}, other, "the server's copy has 4 bytes, the file 5 bytes"},
		{"GET says that it is longer", answer{405, nil, ""}, answer{200, nil, "hello!"}, other, "the server's copy has 6 bytes, the file 5 bytes"},
		{"GET is empty", answer{405, nil, ""}, answer{200, nil, ""}, other, "the server's copy has 0 bytes, the file 5 bytes"},
		{"GET tells by its head", answer{405, nil, ""}, answer{200, fields{"Content-Digest": digest("hullo")}, "hullo"}, other, "the server's copy has another SHA-256"},
		{"GET not allowed", answer{405, nil, ""}, answer{405, nil, ""}, cannotTell, "the server answers 405 Method Not Allowed"},

		{"absent", answer{404, nil, ""}, answer{404, nil, "not here"}, absent, "nothing is there"},
		{"gone", answer{410, nil, ""}, answer{410, nil, ""}, absent, "nothing is there"},
		{"HEAD not known", answer{404, nil, ""}, answer{200, nil, "hello"}, there, "its SHA-256"},
		{"absent, and hidden", answer{404, nil, ""}, answer{403, nil, ""}, cannotTell, "the server answers 403 Forbidden"},

		{"no credentials", answer{401, nil, ""}, answer{}, cannotTell, "the server answers 401 Unauthorized"},
		{"forbidden", answer{403, nil, ""}, answer{}, cannotTell, "the server answers 403 Forbidden"},
		{"overload", answer{503, nil, ""}, answer{}, cannotTell, "the server answers 503 Service Unavailable"},
		{"no such status", answer{599, nil, ""}, answer{}, cannotTell, "the server answers 599"},
		{"no content", answer{204, nil, ""}, answer{}, cannotTell, "the server answers 204 No Content"},
		{"redirect", answer{302, fields{"Location": "/secret"}, ""}, answer{}, cannotTell, "the server answers 302, a redirect, which is not followed"},
		{"redirect elsewhere", answer{307, fields{"Location": "http://elsewhere/secret"}, ""}, answer{}, cannotTell, "the server answers 307, a redirect, which is not followed"},
		{"compressed", of("hello", fields{"Content-Encoding": "gzip"}), answer{}, cannotTell, "the server answers with compressed content"},
		{"not compressed", of("hello", fields{"Content-Encoding": "identity"}), answer{200, nil, "hello"}, there, "its SHA-256"},
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
			}, func(t *testing.T, v *verifier) {
				got, note, err := v.check(t.Context(), it, http.Header{"Authorization": {"Bearer secret"}}, expectation{began: time.Now()})
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

func TestVerifyEmptyFile(t *testing.T) {
	for body, want := range map[string]verdict{"": there, "<html>": other} {
		it := onDisk(t, "PUT", "http://h/f", "")
		v := verifier{client: &http.Client{Transport: handled(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == "HEAD" {
				w.Header().Set("Content-Length", "0")
			}
			io.WriteString(w, body)
		})}}
		got, note, err := v.check(t.Context(), it, nil, expectation{})
		if got != want || got == there && note != "its length, 0 bytes" || err != nil {
			t.Errorf("%q: %v, %q, %v", body, got, note, err)
		}
	}
}

func TestVerifyHeader(t *testing.T) {
	it := onDisk(t, "PUT", "http://h/f", "hello")
	var got http.Header
	v := verifier{client: &http.Client{Transport: handled(func(w http.ResponseWriter, r *http.Request) {
		got = r.Header
		w.Header().Set("Content-Length", "5")
		io.WriteString(w, "hello")
	})}}
	upload := http.Header{
		"Authorization": {"Bearer x"}, "User-Agent": {"penstock"}, "Accept-Encoding": {"gzip"},
		"X-Key": {"k"}, "Content-Type": {"text/csv"}, "Content-Digest": {"x"}, "Content-Encoding": {"gzip"}, "If-None-Match": {"*"}, "Idempotency-Key": {"k"}, "Expect": {"x"},
	}
	v.keyHeader = "x-key"
	before := upload.Clone()
	if verdict, _, err := v.check(t.Context(), it, upload, expectation{}); verdict != there || err != nil {
		t.Fatal(verdict, err)
	}
	want := http.Header{
		"Authorization": {"Bearer x"}, "User-Agent": {"penstock"},
		"Accept-Encoding": {"identity"}, "Cache-Control": {"no-cache"}, "Want-Repr-Digest": {"sha-256=10, sha-512=3"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if diff := cmp.Diff(before, upload); diff != "" {
		t.Errorf("the upload's has changed:\n%s", diff)
	}
}

// A file is read only if there is something to compare it with, and not where
// its hash is known.
func TestVerifyReadsNoFileInVain(t *testing.T) {
	sum := sha256.Sum256([]byte("hello"))
	for _, c := range []struct {
		name   string
		field  string
		digest []byte
		want   verdict
		err    error
	}{
		{"nothing to compare", "", nil, there, nil},
		{"known", digest.Field(sum), sum[:], there, nil},
		{"not known", digest.Field(sum), nil, cannotTell, os.ErrNotExist},
	} {
		it := onDisk(t, "PUT", "http://h/f", "hello")
		if err := os.Remove(it.Path); err != nil {
			t.Fatal(err)
		}
		v := verifier{client: &http.Client{Transport: handled(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "5")
			w.Header().Set("Last-Modified", time.Now().UTC().Format(http.TimeFormat))
			w.Header().Set("Repr-Digest", c.field)
		})}}
		if got, note, err := v.check(t.Context(), it, nil, expectation{digest: c.digest, began: time.Now()}); got != c.want || !errors.Is(err, c.err) {
			t.Errorf("%s: %v, %q, %v", c.name, got, note, err)
		}
	}
	it := onDisk(t, "PUT", "http://h/f", "hello")
	it.ModTime = it.ModTime.Add(-time.Second)
	v := verifier{client: &http.Client{Transport: handled(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "hello") })}}
	if got, _, err := v.check(t.Context(), it, nil, expectation{}); got != cannotTell || !errors.Is(err, retry.ErrFileChanged) {
		t.Errorf("changed: %v, %v", got, err)
	}
}

// What a server tells of its content is true here, and may be anything in kind: no
// other content is then taken for the item's, unless all that is told is its
// length, and the item's own never for another.
func TestVerifyModel(t *testing.T) {
	contents := []string{"", "a", "b", "hello", "hullo", strings.Repeat("x", 300_000), strings.Repeat("x", 299_999) + "y"}
	var items []item.Item
	for _, content := range contents {
		items = append(items, onDisk(t, "PUT", "http://h/f", content))
	}
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, len(contents)-1).Draw(t, "file")
		has := rapid.SampledFrom(contents).Draw(t, "server has")
		told := map[string][]string{ // the right one, and some that mean nothing
			"Repr-Digest":    {"sha-256=" + sfv(sha256.New(), has), "sha-512=" + sfv(sha512.New(), has), "sha-256=1", "md5=:AAAA:"},
			"Content-Digest": {"sha-256=" + sfv(sha256.New(), ""), "sha-256=" + sfv(sha256.New(), has)},
			"Etag":           {tag(md5.New(), has), tag(sha1.New(), has), tag(sha256.New(), has), tag(md5.New(), "of the name"), `W/"x"`, `"x-2"`},
			"Last-Modified":  {time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat), time.Now().UTC().Format(http.TimeFormat), "never"},
			"Content-Length": {strconv.Itoa(len(has))},
		}
		head := make(map[string]string)
		for name, values := range told {
			head[name] = rapid.SampledFrom(append(values, "")).Draw(t, name)
		}
		headStatus := rapid.SampledFrom([]int{200, 200, 200, 404, 405, 501}).Draw(t, "HEAD")
		getStatus := rapid.SampledFrom([]int{200, 200, 200, 403, 500}).Draw(t, "GET")
		gotten := false
		v := verifier{client: &http.Client{Transport: handled(func(w http.ResponseWriter, r *http.Request) {
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
		})}}
		got, note, err := v.check(context.Background(), items[n], nil, expectation{began: time.Now().Add(-time.Minute)})
		if err != nil {
			t.Fatal(err)
		}
		same := has == contents[n]
		switch {
		case got == absent:
			t.Errorf("absent: it is not")
		case got == other && same:
			t.Errorf("other (%s): it is the same", note)
		case got == there && !same && (note != "its length and date" || len(has) != len(contents[n])):
			t.Errorf("there by %s: something else is", note)
		case got == there && note == "its length and date" && !same && (gotten || head["Repr-Digest"] == told["Repr-Digest"][0] || head["Etag"] == told["Etag"][0] || head["Last-Modified"] == told["Last-Modified"][0]):
			t.Errorf("there by its length: there was more to compare")
		case got == cannotTell && headStatus == 200 && getStatus == 200:
			t.Errorf("cannot tell (%s): it was all there to see", note)
		}
	})
}

// A thing of the same length that was there before is not by its length the item.
func TestVerifyOlder(t *testing.T) {
	for _, c := range []struct {
		name     string
		modified time.Duration // after the attempt began, by the server's clock
		ahead    time.Duration // that clock
		began    bool
		want     string
	}{
		{"newer", time.Second, 0, true, "HEAD"},
		{"as old", -dateSlack, 0, true, "HEAD"},
		{"older", -dateSlack - time.Second, 0, true, "HEADGET"},
		{"older, clock ahead", -time.Minute, time.Hour, true, "HEADGET"},
		{"newer, clock behind", time.Second, -time.Hour, true, "HEAD"},
		{"not known when it began", time.Hour, 0, false, "HEADGET"},
	} {
		it := onDisk(t, "PUT", "http://h/f", "hello")
		asked := ""
		var want expectation
		askOnFakeTime(t, func(w http.ResponseWriter, r *http.Request) {
			asked += r.Method
			now := time.Now().Add(c.ahead)
			w.Header().Set("Date", now.UTC().Format(http.TimeFormat))
			w.Header().Set("Last-Modified", now.Add(-10*time.Second+c.modified).UTC().Format(http.TimeFormat))
			w.Header().Set("Content-Length", "5")
			io.WriteString(w, "hullo")
		}, func(t *testing.T, v *verifier) {
			if c.began {
				want.began = time.Now().Add(-10 * time.Second)
			}
			got, note, err := v.check(t.Context(), it, nil, want)
			if (got == there) != (c.want == "HEAD") || asked != c.want || err != nil {
				t.Errorf("%s: %v, %q, %v, asked %s", c.name, got, note, err, asked)
			}
		})
	}
}

func TestVerifySettles(t *testing.T) {
	it := onDisk(t, "PUT", "http://h/f", "hello")
	askOnFakeTime(t, http.NotFound, func(t *testing.T, v *verifier) {
		v.settle = 30 * time.Second
		want := expectation{ended: time.Now()}
		for _, c := range []struct {
			wait time.Duration
			want verdict
		}{{0, cannotTell}, {v.settle - 1, cannotTell}, {1, absent}} {
			time.Sleep(c.wait)
			if got, note, err := v.check(t.Context(), it, nil, want); got != c.want || err != nil {
				t.Errorf("after %v: %v, %q, %v", time.Since(want.ended), got, note, err)
			}
		}
		if got, _, err := v.check(t.Context(), it, nil, expectation{}); got != absent || err != nil {
			t.Errorf("long ago: %v, %v", got, err)
		}
		if got, _, err := v.check(t.Context(), it, nil, expectation{ended: time.Now().Add(time.Hour)}); got != cannotTell || err != nil {
			t.Errorf("the clock was put back: %v, %v", got, err)
		}
	})
}

// That a POST left nothing at its URL means something only where others have.
func TestVerifyPost(t *testing.T) {
	stored := map[string]bool{}
	v := verifier{client: &http.Client{Transport: handled(func(w http.ResponseWriter, r *http.Request) {
		if !stored[r.Host+r.URL.Path] {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Length", "5")
		io.WriteString(w, "hello")
	})}}
	check := func(method, url string, want verdict) {
		t.Helper()
		if got, note, err := v.check(t.Context(), onDisk(t, method, url, "hello"), nil, expectation{}); got != want || err != nil {
			t.Errorf("%s %s: %v, %q, %v, want %v", method, url, got, note, err, want)
		}
	}
	check("POST", "http://a/lost", cannotTell)
	v.delivered(onDisk(t, "POST", "http://a/1", "hello"), noHeader)
	v.delivered(onDisk(t, "PUT", "http://a/put", "hello"), noHeader)
	v.delivered(onDisk(t, "POST", "http://c/empty", ""), noHeader)
	check("POST", "http://c/lost", cannotTell)
	check("POST", "http://a/lost", cannotTell) // its server keeps nothing there
	stored["a/1"], stored["a/2"] = true, true
	check("POST", "http://a/lost", absent)
	check("POST", "http://a/2", there)
	delete(stored, "a/1")
	check("POST", "http://a/lost", absent) // it did
	for i := range 3 {                     // of which the first two were fetched from there
		v.delivered(onDisk(t, "POST", fmt.Sprintf("http://d/%d", i), "hello"), noHeader)
	}
	stored["d/2"] = true
	check("POST", "http://d/lost", absent)
	stored["e/1"] = true
	check("POST", "http://e/lost", cannotTell)
	check("POST", "http://e/1", there)
	check("POST", "http://e/lost", absent) // after another in doubt was there
	check("PATCH", "http://a/lost", cannotTell)
	check("POST", "http://b/lost", cannotTell)
	check("PUT", "http://b/lost", absent)
}

func TestVerifiable(t *testing.T) {
	for _, c := range []struct {
		it      item.Item
		several bool
		want    bool
	}{
		{item.Item{Method: "PUT", URL: "http://h/x"}, true, true},
		{item.Item{Method: "POST", URL: "http://h/upload", Path: "d/a.csv"}, true, false},
		{item.Item{Method: "POST", URL: "http://h/items/7", Path: "d/a.csv"}, false, true},
		{item.Item{Method: "POST", URL: "http://h/d/a%20b.csv?x=/y", Path: "d/a b.csv"}, true, true},
		{item.Item{Method: "PATCH", URL: "http://h/d/a", Path: "d/a.csv"}, true, true},
		{item.Item{Method: "POST", URL: "http://h/a.csv/", Path: "d/a.csv"}, true, false},
		{item.Item{Method: "POST", URL: "http://h/7", Path: "d/a.csv", Key: "7"}, true, true},
		{item.Item{Method: "POST", URL: "http://h/", Path: "d/.x"}, true, false},
		{item.Item{Method: "POST", URL: "http://h/%zz", Path: "%zz"}, true, false},
	} {
		if got := verifiable(c.it, c.several); got != c.want {
			t.Errorf("%s %s of %s, several %v: %v", c.it.Method, c.it.URL, c.it.Path, c.several, got)
		}
	}
}

// An empty file that was posted is not taken for delivered because a URL answers
// with nothing.
func TestVerifyPostOfEmptyFile(t *testing.T) {
	v := verifier{client: &http.Client{Transport: handled(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/1" {
			io.WriteString(w, "hello")
		}
	})}}
	it := onDisk(t, "POST", "http://h/2", "")
	for _, want := range []verdict{cannotTell, there} {
		if got, note, err := v.check(t.Context(), it, nil, expectation{}); got != want || err != nil {
			t.Errorf("%v, %q, %v, want %v", got, note, err, want)
		}
		v.delivered(onDisk(t, "POST", "http://h/1", "hello"), noHeader)
	}
}

// Whatever a server says of another content, it is not the item unless it says so
// by the item's own hash or length.
func FuzzVerify(f *testing.F) {
	hello := []string{sfv(sha256.New(), "hello"), sfv(sha512.New(), "hello"), tag(md5.New(), "hello"), tag(sha1.New(), "hello"), tag(sha256.New(), "hello"), tag(sha512.New(), "hello")}
	f.Add("sha-256="+hello[0], "sha-512=:AAAA:", hello[2], "", "", "", "5", 200)
	f.Add("sha-256=?1;x", "", `W/"`, "Thu, 01 Jan 1970 00:00:00 GMT", "x", "gzip", "-1", 404)
	f.Add("a=(1 2);b, sha-256", "::", `"`, "", "", "", "", 304)
	name := filepath.Join(f.TempDir(), "f")
	if err := os.WriteFile(name, []byte("hello"), 0o600); err != nil {
		f.Fatal(err)
	}
	info, err := os.Stat(name)
	if err != nil {
		f.Fatal(err)
	}
	it := item.Item{Method: "PUT", URL: "http://h/f", Path: name, Fingerprint: item.FingerprintOf(info), Content: filebody.File(name)}
	f.Fuzz(func(t *testing.T, repr, content, etag, modified, date, coding, length string, status int) {
		v := verifier{client: &http.Client{Transport: handled(func(w http.ResponseWriter, r *http.Request) {
			for name, value := range map[string]string{"Repr-Digest": repr, "Content-Digest": content, "Etag": etag, "Last-Modified": modified, "Date": date, "Content-Encoding": coding, "Content-Length": length} {
				w.Header()[name] = []string{value}
			}
			w.WriteHeader(100 + max(status, -status, 0)%900)
			io.WriteString(w, "hullo")
		})}}
		got, note, err := v.check(t.Context(), it, nil, expectation{began: time.Now()})
		if err != nil || note == "" || strings.ContainsAny(note, "\n\r") {
			t.Errorf("%v, %q, %v", got, note, err)
		}
		told := false
		for _, own := range hello {
			own = strings.Trim(own, `:"`)
			told = told || strings.Contains(repr+content, own) || strings.Contains(strings.ToLower(etag), own)
		}
		if got == there && note != "its length" && !told {
			t.Errorf("there by %s", note)
		}
	})
}

// hang answers nothing until its client is gone.
func hang(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

// drip sends a byte now and then, forever.
func drip(w http.ResponseWriter, r *http.Request) {
	for r.Method == "GET" && r.Context().Err() == nil {
		io.WriteString(w, "x")
		w.(http.Flusher).Flush()
		time.Sleep(9 * time.Second)
	}
}

func TestVerifyTakesNotForEver(t *testing.T) {
	for _, c := range []struct {
		name    string
		handler http.HandlerFunc
		timeout time.Duration
		size    int64
		took    time.Duration
		note    string
	}{
		{"silence", hang, 0, 5, time.Minute, "no answer in time"},
		{"silence, timeout", hang, 7 * time.Second, 1 << 30, 7 * time.Second, "no answer in time"},
		{"drops", drip, 0, 100, time.Minute, "the server's answer took too long"},
		{"drops of a large file", drip, 10 * time.Second, 30<<20 + 1, 40 * time.Second, "the server's answer took too long"},
	} {
		it := onDisk(t, "PUT", "http://h/f", "")
		it.Size = c.size
		askOnFakeTime(t, c.handler, func(t *testing.T, v *verifier) {
			v.timeout = c.timeout
			began := time.Now()
			got, note, err := v.check(t.Context(), it, nil, expectation{})
			if took := time.Since(began); got != cannotTell || note != c.note || err != nil || took != c.took {
				t.Errorf("%s: %v, %q, %v after %v", c.name, got, note, err, took)
			}
		})
	}
}

// Waiting for its turn is no part of the time that an answer may take.
func TestVerifyWaitsForItsTurn(t *testing.T) {
	it := onDisk(t, "PUT", "http://h/f", "hello")
	askOnFakeTime(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "5")
		w.Header().Set("Last-Modified", time.Now().UTC().Format(http.TimeFormat))
	}, func(t *testing.T, v *verifier) {
		v.client.Transport.(*throttle.Transport).Limits.Rate = 0.001
		began := time.Now()
		for range 2 {
			if got, note, err := v.check(t.Context(), it, nil, expectation{began: began}); got != there || err != nil {
				t.Errorf("%v, %q, %v", got, note, err)
			}
		}
		if took := time.Since(began); took != 1000*time.Second {
			t.Errorf("took %v", took)
		}
	})
}

func TestVerifyEndsWithItsContext(t *testing.T) {
	it := onDisk(t, "PUT", "http://h/f", strings.Repeat("x", 100))
	enough := errors.New("enough")
	for name, handler := range map[string]http.HandlerFunc{"head": hang, "content": drip} {
		askOnFakeTime(t, handler, func(t *testing.T, v *verifier) {
			ctx, cancel := context.WithCancelCause(t.Context())
			defer time.AfterFunc(13*time.Second, func() { cancel(enough) }).Stop()
			if got, note, err := v.check(ctx, it, nil, expectation{}); got != cannotTell || note != "" || err != enough {
				t.Errorf("%s: %v, %q, %v", name, got, note, err)
			}
		})
	}
}

// A body without an end is not read to it.
func TestVerifyReadsNoMoreThanTheFileHas(t *testing.T) {
	it := onDisk(t, "PUT", "http://h/f", "hello")
	sent := 0
	askOnFakeTime(t, func(w http.ResponseWriter, r *http.Request) {
		for r.Method == "GET" {
			n, err := w.Write(make([]byte, 32<<10))
			if sent += n; err != nil {
				return
			}
		}
	}, func(t *testing.T, v *verifier) {
		if got, note, err := v.check(t.Context(), it, nil, expectation{}); got != other || err != nil {
			t.Errorf("%v, %q, %v", got, note, err)
		}
	})
	if sent > 1<<20 {
		t.Errorf("%d bytes were taken", sent)
	}
}

// cut lets the connection go in the middle.
func cut(w http.ResponseWriter, r *http.Request) {
	if r.Method == "GET" {
		w.Header().Set("Content-Length", "5")
		io.WriteString(w, "he")
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}
}

func TestVerifyOfBrokenServers(t *testing.T) {
	it := onDisk(t, "PUT", "http://h/f?sig=secret", "hello")
	askOnFakeTime(t, cut, func(t *testing.T, v *verifier) {
		if got, note, err := v.check(t.Context(), it, nil, expectation{}); got != cannotTell || note != "the server's answer was cut off" || err != nil {
			t.Errorf("%v, %q, %v", got, note, err)
		}
		it := it
		it.URL = "http://h/%zz?secret"
		if got, note, err := v.check(t.Context(), it, nil, expectation{}); got != cannotTell || note != "its URL cannot be asked" || err != nil {
			t.Errorf("%v, %q, %v", got, note, err)
		}
	})
	askOnFakeTime(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, func(t *testing.T, v *verifier) {
		if got, note, err := v.check(t.Context(), it, nil, expectation{}); got != cannotTell || note != "connection lost" || err != nil {
			t.Errorf("%v, %q, %v", got, note, err)
		}
		v.client.Transport.(*throttle.Transport).Stop(errors.New("interrupted"))
		if got, note, err := v.check(t.Context(), it, nil, expectation{}); got != cannotTell || note != "the run ended before it was asked" || err != nil {
			t.Errorf("%v, %q, %v", got, note, err)
		}
	})
}

// Real servers of files answer as it is hoped for.
func TestVerifyFileServer(t *testing.T) {
	content := bytes.Repeat([]byte("0123456789"), 1000)
	it := onDisk(t, "PUT", "http://h/f", string(content))
	askOnFakeTime(t, func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, "f", time.Now(), bytes.NewReader(content))
	}, func(t *testing.T, v *verifier) {
		if got, note, err := v.check(t.Context(), it, nil, expectation{began: time.Now()}); got != there || note != "its length and date" || err != nil {
			t.Errorf("%v, %q, %v", got, note, err)
		}
	})
}
