package verify

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// Whatever a server says of another content, it is not the item unless it says so by the item's own
// hash or length.
func FuzzCheck(f *testing.F) {
	hello := []string{sfv(sha256.New(), "hello"), sfv(sha512.New(), "hello"),
		tag(md5.New(), "hello"), tag(sha1.New(), "hello"), tag(sha256.New(), "hello"),
		tag(sha512.New(), "hello")}
	f.Add("sha-256="+hello[0], "sha-512=:AAAA:", hello[2], "", "", "", "5", 200)
	f.Add("sha-256=?1;x", "", `W/"`, "Thu, 01 Jan 1970 00:00:00 GMT", "x", "gzip", "-1", 404)
	f.Add("a=(1 2);b, sha-256", "::", `"`, "", "", "", "", 304)
	it := onDisk(f, "PUT", "http://h/f", "hello")
	f.Fuzz(func(
		t *testing.T, repr, content, etag, modified, date, coding, length string, status int,
	) {
		v := asking(func(w http.ResponseWriter, r *http.Request) {
			for name, value := range map[string]string{"Repr-Digest": repr,
				"Content-Digest": content, "Etag": etag, "Last-Modified": modified, "Date": date,
				"Content-Encoding": coding, "Content-Length": length} {
				w.Header()[name] = []string{value}
			}
			w.WriteHeader(100 + max(status, -status, 0)%900)
			io.WriteString(w, "hullo")
		})
		got, note, err := v.Check(t.Context(), it, nil, Known{Began: time.Now()})
		if err != nil || note == "" || strings.ContainsAny(note, "\n\r") {
			t.Errorf("%v, %q, %v", got, note, err)
		}
		told := false
		for _, own := range hello {
			own = strings.Trim(own, `:"`)
			told = told || strings.Contains(repr+content, own) ||
				strings.Contains(strings.ToLower(etag), own)
		}
		if got == There && note != "its length" && !told {
			t.Errorf("there by %s", note)
		}
	})
}
