package lab

import (
	"bytes"
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"mime/multipart"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/test"
)

// A part is one of a form; it is a file if it has the name of one.
type part struct{ name, file, text string }

// post sends a form.
func (b *bench) post(path string, header http.Header, parts ...part) answer {
	var body bytes.Buffer
	w := multipart.NewWriter(&body)
	for _, p := range parts {
		out, err := w.CreateFormField(p.name)
		if p.file != "" {
			out, err = w.CreateFormFile(p.name, p.file)
		}
		test.OK(b, err)
		out.Write([]byte(p.text))
	}
	test.OK(b, w.Close())
	return b.postBody(path, w.FormDataContentType(), body.String(), header)
}

func (b *bench) postBody(path, contentType, body string, header http.Header) answer {
	req := b.request("POST", path, body)
	if header != nil {
		req.Header = header
	}
	req.Header.Set("Content-Type", contentType)
	return b.do(req)
}

func hexOf(text string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(text))) }

func TestPartnerForm(t *testing.T) {
	bubble(t, "partner", "fields=project,name&file=image&checksum=X-Sum", func(t *testing.T,
		b *bench) {
		file := part{"image", "a.jpg", "picture"}
		project, name := part{"project", "", "7"}, part{"name", "", "a"}
		sum := func(text string) http.Header { return http.Header{"X-Sum": {text}} }
		sha, md := sha256.Sum256([]byte("picture")), md5.Sum([]byte("picture"))
		for _, row := range []struct {
			header http.Header
			parts  []part
			status int
			says   string
		}{
			{sum(hexOf("picture")), []part{project, name, file}, 201, `"success":true`},
			{sum(strings.ToUpper(hex.EncodeToString(md[:]))), []part{file, name, project}, 201, ``},
			{sum(base64.StdEncoding.EncodeToString(sha[:])), []part{project, name, file}, 201, ``},
			{sum(hexOf("picture")), []part{project, file}, 400, "the field name is missing"},
			{sum(hexOf("picture")), []part{project, name}, 400, "image must hold a file"},
			{sum(hexOf("picture")), []part{project, name, {"image", "", "x"}}, 400,
				"image must hold a file"},
			{sum(hexOf("other")), []part{project, name, file}, 400, "checksumMismatch"},
			{nil, []part{project, name, file}, 400, "X-Sum must hold"},
		} {
			a := b.post("/v1/images", row.header, row.parts...)
			if a.status != row.status || !strings.Contains(a.body, row.says) {
				t.Errorf("%v %v: %d %s; want %d with %s", row.header, row.parts, a.status, a.body,
					row.status, row.says)
			}
			b.want("type", a.header.Get("Content-Type"), "application/json")
		}
		s := b.Stats()
		b.want("item", s.Items["/v1/images"], Item{Size: 7, SHA256: hexOf("picture"), Times: 3})
		b.want("missing", s.MissingField, int64(3))
		b.want("checksums", s.BadChecksum, int64(2))
		if v := s.Verdict()[1]; !strings.Contains(v, "3 requests without a required field; "+
			"2 requests with a wrong checksum or none") {
			t.Errorf("verdict: %s", v)
		}
		b.want("a form without its end", b.postBody("/v1/images", "multipart/form-data; boundary=x",
			"--x\r\nContent-Disposition: form-data; name=image; filename=a\r\n\r\npict",
			nil).status, 400)
		b.want("malformed", b.Stats().Malformed, int64(1))
	})
}

func TestPartnerJSON(t *testing.T) {
	const params = "fields=sku&base64=image.content&checksum=X-Sum&status=202"
	bubble(t, "partner", params, func(t *testing.T, b *bench) {
		file := strings.Repeat("\x00\xff picture", 1000)
		for _, row := range []struct {
			body   string
			status int
			says   string
		}{
			{`{"sku":7,"image":{"content":"` + base64.StdEncoding.EncodeToString([]byte(file)) +
				`"}}`, 202, `"id":"` + hexOf(file)[:12] + `"`},
			{`{"sku":7,"image":{"content":"` + base64.URLEncoding.EncodeToString([]byte(file)) +
				`"}}`, 400, "not text in base64"},
			{`{"sku":7,"image":{"content":7}}`, 400, "not text in base64"},
			{`{"sku":7}`, 400, "image.content is missing"},
			{`{"image":{"content":""}}`, 400, "sku is missing"},
			{`{"sku":`, 400, "not JSON"},
			{`[]`, 400, "sku is missing"},
		} {
			a := b.postBody("/products", "application/json", row.body,
				http.Header{"X-Sum": {hexOf(file)}})
			if a.status != row.status || !strings.Contains(a.body, row.says) {
				t.Errorf("%.40s: %d %s; want %d with %s", row.body, a.status, a.body, row.status,
					row.says)
			}
		}
		s := b.Stats()
		b.want("item", s.Items["/products"], Item{Size: int64(len(file)), SHA256: hexOf(file),
			Times: 1})
		b.want("malformed", s.Malformed, int64(3))
		b.want("missing", s.MissingField, int64(3))
	})
}

// What a POST stored is found where its Location says, and by its own name after a PUT.
func TestPartnerLocation(t *testing.T) {
	bubble(t, "partner", "keys=honour", func(t *testing.T, b *bench) {
		key := http.Header{"Idempotency-Key": {"k"}}
		first := b.post("/v1/a%20b/?x=1", key.Clone(), part{"f", "n", "one"})
		place := first.header.Get("Location")
		b.want("Location", place, "/v1/a%20b/"+hexOf("one")[:12])
		again := b.post("/v1/a%20b/?x=1", key.Clone(), part{"f", "n", "one"})
		b.want("status", again.status, 201)
		b.want("Location", again.header.Get("Location"), place)
		b.post("/v1/a%20b/", nil, part{"f", "n", "three"})
		look := b.do(b.request("HEAD", place, ""))
		b.want("length", look.header.Get("Content-Length"), "3")
		b.want("elsewhere", b.do(b.request("HEAD", "/v1/"+hexOf("one")[:12], "")).status, 404)
		b.want("PUT", b.put("/c", "xx").header.Get("Location"), "")
		b.want("PUT", b.do(b.request("HEAD", "/c", "")).header.Get("Content-Length"), "2")
		b.want("replayed", b.Stats().Replayed, int64(1))
	})
}

func TestPartnerLimits(t *testing.T) {
	bubble(t, "partner", "key=X-Api-Key&rps=10&burst=2&quota=3&window=1m&latency=0s",
		func(t *testing.T, b *bench) {
			send := func(key, says string, status int) {
				t.Helper()
				req := b.request("PUT", "/x", "x")
				if key != "" {
					req.Header.Set("X-Api-Key", key)
				}
				a := b.do(req)
				if a.status != status || !strings.Contains(a.body, says) {
					t.Errorf("%v: %d %s; want %d with %s", a.after, a.status, a.body, status, says)
				}
			}
			send("", "must hold an API key", 401)
			send("a", "success", 201)
			send("a", "success", 201)
			send("a", `{"error":{"code":403,"message":"Rate Limit Exceeded","errors":[`+
				`{"message":"Rate Limit Exceeded","domain":"usageLimits",`+
				`"reason":"rateLimitExceeded"}]}}`, 403)
			send("b", "success", 201)
			b.at(time.Second)
			send("a", "success", 201)
			send("a", `"reason":"quotaExceeded"`, 403)
			send("b", "success", 201)
			b.at(time.Minute)
			send("a", "success", 201)
			s := b.Stats()
			b.want("over the rate and the quota", [2]int64{s.OverRate, s.OverQuota}, [2]int64{1, 1})
			b.want("statuses", s.ByStatus, map[int]int64{201: 6, 401: 1, 403: 2})
		})
}

// About the given share is rejected, and a file that was is rejected each time.
func TestPartnerRejects(t *testing.T) {
	bubble(t, "partner", "reject=0.25&latency=0s", func(t *testing.T, b *bench) {
		rejected := map[int]bool{}
		for i := range 400 {
			a := b.put(fmt.Sprint("/", i), fmt.Sprint(i))
			if strings.Contains(a.body, `"success":false`) {
				b.want("status", a.status, 200)
				rejected[i] = true
			}
		}
		if n := len(rejected); n < 70 || n > 130 {
			t.Errorf("%d of 400 rejected, want about 100", n)
		}
		for i := range rejected {
			if a := b.put("/again", fmt.Sprint(i)); !strings.Contains(a.body, `"success":false`) {
				t.Errorf("%d is taken the second time", i)
			}
		}
		s := b.Stats()
		b.want("rejected", s.Rejected, int64(2*len(rejected)))
		b.want("stored", s.Accepted, int64(400-len(rejected)))
		if _, stored := s.Items["/again"]; stored {
			t.Error("a rejected file is stored")
		}
	})
}

// Without a rate nothing is refused, in whatever order requests get there that came together.
func TestPartnerWithoutRate(t *testing.T) {
	p := &partner{window: time.Minute, clients: map[string]*client{}}
	now := time.Now()
	for _, at := range []time.Time{now.Add(time.Millisecond), now} {
		if f := p.admit(&exchange{at: at}); f != nil {
			t.Errorf("%+v", f)
		}
	}
}
