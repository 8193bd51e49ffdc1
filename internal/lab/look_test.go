package lab

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"testing"
	"time"
)

func TestLook(t *testing.T) {
	bubble(t, "tutorial", "limit=1", func(t *testing.T, b *bench) {
		b.put("/a", "hello")
		b.at(3 * time.Second)
		b.put("/a", "hello, world")
		before := b.Stats()

		sum := sha256.Sum256([]byte("hello, world"))
		for _, method := range []string{"HEAD", "GET"} {
			resp, err := b.client.Do(b.request(method, "/a", ""))
			if err != nil {
				t.Fatal(err)
			}
			got := fmt.Sprint(resp.StatusCode, resp.ContentLength, resp.Header["Etag"],
				resp.Header["Repr-Digest"])
			want := fmt.Sprintf(`200 12 ["%s"] [sha-256=:%s:]`, hash("hello, world"),
				base64.StdEncoding.EncodeToString(sum[:]))
			b.want(method, got, want)
			// It has no bytes to give, and does not make any up.
			body, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			if len(body) != 0 || (err == io.ErrUnexpectedEOF) != (method == "GET") {
				t.Errorf("%s: body %q, error %v", method, body, err)
			}
			b.want(method+" of what is not stored", b.do(b.request(method, "/b", "")).status, 404)
		}
		b.want("time", time.Since(b.start), 4030*time.Millisecond)
		before.Looked = 4
		b.want("stats", b.Stats(), before)
	})
}

// A server that is down is down for questions, too.
func TestLookWhenDown(t *testing.T) {
	bubble(t, "down", "after=1s&for=2s&mode=503", func(t *testing.T, b *bench) {
		b.put("/a", "x")
		for _, step := range []struct{ at, status int }{{999, 200}, {1000, 503}, {3000, 200}} {
			b.at(time.Duration(step.at) * time.Millisecond)
			a := b.do(b.request("HEAD", "/a", ""))
			b.want(fmt.Sprintf("at %d ms", step.at), a.status, step.status)
		}
		b.want("requests", b.Stats().Requests, int64(1))
	})
}

// An upload cannot be mistaken for a question.
func TestUploadToStatsPath(t *testing.T) {
	bubble(t, "strict", "", func(t *testing.T, b *bench) {
		b.want("status", b.put(StatsPath, "x").status, 201)
		b.want("times", b.Stats().Items[StatsPath].Times, int64(1))
	})
}
