package body

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/compose"
	"github.com/penstock/penstock/internal/digest"
	"github.com/penstock/penstock/internal/filebody"
	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/internal/template"
	"github.com/penstock/penstock/internal/test"
)

const largeSize = filebody.MaxSmall + 1

// newItem returns an item of a file of that size, a day old.
func newItem(t *testing.T, size int) *item.Item {
	t.Helper()
	name := filepath.Join(t.TempDir(), "f")
	writeOld(t, name, bytes.Repeat([]byte("a"), size))
	info, err := os.Stat(name)
	test.OK(t, err)
	return &item.Item{Path: name, Method: "PUT", URL: "http://h/",
		Fingerprint: item.FingerprintOf(info), Content: filebody.File(name)}
}

var yesterday = time.Now().Add(-24 * time.Hour).Truncate(time.Second)

func writeOld(t *testing.T, name string, content []byte) {
	t.Helper()
	test.OK(t, errors.Join(os.WriteFile(name, content, 0o600),
		os.Chtimes(name, yesterday, yesterday)))
}

// attached returns a body that was looked at, and a request that has it.
func attached(t *testing.T, it *item.Item, form string, withDigest bool) (*Body, *http.Request) {
	t.Helper()
	if form != "" {
		composed := new(compose.Template)
		test.OK(t, composed.AddField(form))
		content, err := composed.Content(it, "")
		test.OK(t, err)
		it.Content = content
	}
	b := New(it, Options{ContentDigest: withDigest})
	look, err := b.Look(t.Context())
	if err != nil || (look.Digest != "") != withDigest || look.Changed {
		t.Fatalf("%+v, %v", look, err)
	}
	req, err := http.NewRequestWithContext(t.Context(), it.Method, it.URL, nil)
	test.OK(t, err)
	b.Attach(req)
	return b, req
}

// Of an item without a file, the digest and the size are those of the body that is sent.
func TestDigestWithoutFile(t *testing.T) {
	const uuid = "0e8ad9c5-5a3c-8f77-9e29-7c0f14c9b7a1"
	it := &item.Item{Path: "line 1", Hash: "1", Method: "POST", URL: "http://h/",
		Fields: template.Fields{"sku": {Text: "a"}}}
	composed, err := compose.ParseText(`{"id":"{uuid}","sku":"{sku}"}`, template.PlaceJSON,
		"application/json")
	test.OK(t, err)
	it.Content, err = composed.Content(it, "")
	test.OK(t, err)
	b := New(it, Options{Vars: []string{"sha256", "size", "uuid"}, UUID: uuid})
	_, err = b.Look(t.Context())
	test.OK(t, err)
	sent := `{"id":"` + uuid + `","sku":"a"}`
	for name, want := range map[string]string{
		"sha256": fmt.Sprintf("%x", sha256.Sum256([]byte(sent))),
		"size":   strconv.Itoa(len(sent)),
	} {
		if v, ok := b.Value(name); v.Text != want || !ok {
			t.Errorf("{%s} is %+v, %v, want %s", name, v, ok, want)
		}
	}
	it.Fields["size"] = template.Value{Text: "XL"}
	if v, _ := b.Value("size"); v.Text != "XL" {
		t.Errorf("{size} is %+v, and the line has another one", v)
	}
}

// What is sent is what is there when the turn has come, and so are length, digest and fingerprint.
func TestOpen(t *testing.T) {
	for _, c := range []struct {
		name    string
		size    int
		change  func(t *testing.T, name string)
		want    int // bytes
		changed string
		digest  string // changed, where the digest is known
	}{
		{"small", 5, nil, 5, "", ""},
		{"small, touched", 5, touch, 5, "alike", ""},
		{"small, written to", 5, rewrite(6), 6, "changed", "changed"},
		{"small, written over", 5, rewrite(5), 5, "alike", "changed"},
		{"small, replaced by its like", 5, replace(5), 5, "", "changed"},
		{"small, emptied", 5, rewrite(0), 0, "changed", "changed"},
		{"small, grown large", 5, rewrite(largeSize), largeSize, "changed", "changed"},
		{"empty", 0, nil, 0, "", ""},
		{"empty, grown", 0, rewrite(3), 3, "changed", "changed"},
		{"large", largeSize, nil, largeSize, "", ""},
		{"large, touched", largeSize, touch, largeSize, "alike", ""},
		{"large, replaced by its like", largeSize, replace(largeSize), largeSize, "", "changed"},
		{"large, written to", largeSize, rewrite(2 * largeSize), 2 * largeSize, "changed",
			"changed"},
	} {
		for _, form := range []string{"", "file"} {
			for _, withDigest := range []bool{false, true} {
				name := fmt.Sprintf("%s, form %q, digest %t", c.name, form, withDigest)
				t.Run(name, func(t *testing.T) {
					it := newItem(t, c.size)
					b, req := attached(t, it, form, withDigest)
					if c.change != nil {
						c.change(t, it.Path)
					}
					out, look, err := b.Open(req)
					test.OK(t, err)
					hashed := look.Digest != ""
					want := c.changed
					if withDigest {
						want = c.digest
					}
					if look.Changed != (want != "") || look.Alike != (want == "alike") ||
						int(it.Size) != c.want ||
						hashed != (withDigest && c.change != nil) {
						t.Errorf("%+v, %d bytes", look, it.Size)
					}
					for range 2 { // the second as net/http sends it once more by itself
						body := readAll(t, out)
						if form == "" && len(body) != c.want {
							t.Errorf("%d bytes, want %d", len(body), c.want)
						}
						if hashed && look.Digest != digest.Field(sha256.Sum256(body)) {
							t.Error("not the digest of the body")
						}
						test.Check(t, out.Body.Close())
						if out.Body, err = out.GetBody(); err != nil {
							t.Fatal(err)
						}
					}
				})
			}
		}
	}
}

// readAll returns the body of a request, which has to be as long as that says.
func readAll(t *testing.T, req *http.Request) []byte {
	t.Helper()
	body, err := io.ReadAll(req.Body)
	if err != nil || int64(len(body)) != req.ContentLength {
		t.Errorf("%d bytes of %d, %v", len(body), req.ContentLength, err)
	}
	return body
}

func touch(t *testing.T, name string) {
	test.OK(t, os.Chtimes(name, time.Time{}, time.Now()))
}

func remove(t *testing.T, name string) {
	test.OK(t, os.Remove(name))
}

func rewrite(size int) func(*testing.T, string) {
	return func(t *testing.T, name string) {
		test.OK(t, os.WriteFile(name, make([]byte, size), 0o600))
	}
}

// replace puts another file of the same time there.
func replace(size int) func(*testing.T, string) {
	return func(t *testing.T, name string) {
		writeOld(t, name+".new", make([]byte, size))
		test.OK(t, os.Rename(name+".new", name))
	}
}

// What changes after the turn has come fails the attempt, with an error that reports whether
// anything was sent.
func TestChangedSinceItsTurn(t *testing.T) {
	for _, c := range []struct {
		name    string
		size    int
		change  func(t *testing.T, name string)
		begun   bool // when it changes, some of it was read
		want    error
		again   error // by which it cannot be sent once more
		inPlace bool
	}{
		{"small, written to", 5, rewrite(6), false, nil, ErrChanged, false},
		{"small, replaced", 5, replace(5), false, nil, ErrChanged, false},
		{"unopened, written to", largeSize, rewrite(largeSize), false, ErrMoved, ErrChanged, true},
		{"unopened, replaced", largeSize, replace(largeSize), false, ErrMoved, ErrChanged, false},
		{"unopened, removed", largeSize, remove, false, ErrMoved, new(ReadError), false},
		{"written to", largeSize, rewrite(largeSize), true, ErrChanged, ErrChanged, true},
		{"cut short", largeSize, rewrite(2), true, ErrChanged, ErrChanged, true},
		{"replaced", largeSize, replace(largeSize), true, nil, ErrChanged, false},
		{"removed", largeSize, remove, true, nil, new(ReadError), false},
	} {
		for _, form := range []string{"", "file"} {
			t.Run(fmt.Sprintf("%s, form %q", c.name, form), func(t *testing.T) {
				it := newItem(t, c.size)
				b, req := attached(t, it, form, false)
				out, _, err := b.Open(req)
				test.OK(t, err)
				if c.begun {
					if _, err := io.CopyN(io.Discard, out.Body, 1000); err != nil {
						t.Fatal(err)
					}
				}
				c.change(t, it.Path)
				_, err = io.Copy(io.Discard, out.Body)
				if err == nil {
					err = out.Body.Close()
				}
				if err != c.want || Fault(err) != c.want {
					t.Errorf("%v, want %v", err, c.want)
				}
				if got := b.ChangedInPlace(); got != c.inPlace {
					t.Errorf("changed in place: %t", got)
				}
				_, err = out.GetBody()
				if err != c.again && !(errors.As(c.again, new(*ReadError)) &&
					errors.As(err, new(*ReadError))) {
					t.Errorf("once more: %v, want %T", err, c.again)
				}
			})
		}
	}
}

func TestGone(t *testing.T) {
	it := newItem(t, 5)
	b, req := attached(t, it, "", false)
	remove(t, it.Path)
	_, err := b.Look(t.Context())
	if err == nil || strings.Contains(err.Error(), it.Path) {
		t.Error(err)
	}
	_, _, openErr := b.Open(req)
	if fault := Fault(openErr); fault == nil || fault.Error() != err.Error() ||
		FaultKind(fault) != "the file cannot be read" || fault.(*ReadError).Begun {
		t.Errorf("%v, want %v", openErr, err)
	}
}

// A touching context writes to a file when something looks whether it has ended, as hashing does
// from time to time.
type touching struct {
	context.Context
	file  string
	times int // how often it still does
}

func (c *touching) Err() error {
	if c.times != 0 {
		c.times--
		info, err := os.Stat(c.file)
		if err == nil {
			err = os.WriteFile(c.file, make([]byte, info.Size()+1), 0o600)
		}
		if err != nil {
			panic(err)
		}
	}
	return c.Context.Err()
}

// A content that changes while its digest is computed is opened once more: nothing of it was sent.
func TestChangedWhileHashed(t *testing.T) {
	for _, form := range []string{"", "file"} {
		for _, size := range []int{1, largeSize} {
			for _, times := range []int{0, 1, -1} {
				name := fmt.Sprintf("form %q, %d bytes, %d times", form, size, times)
				t.Run(name, func(t *testing.T) {
					it := newItem(t, size)
					b, req := attached(t, it, form, true)
					b.sums = sums{} // as after a change since
					req = req.WithContext(&touching{t.Context(), it.Path, times})
					out, look, err := b.Open(req)
					if times < 0 && (size == largeSize || form != "") { // else it is in memory
						if !errors.Is(err, errChanging) || Fault(err) == nil {
							t.Errorf("of a file that changes all the time: %v", err)
						}
						return
					}
					test.OK(t, err)
					if want := digest.Field(sha256.Sum256(readAll(t, out))); look.Digest != want {
						t.Errorf("Content-Digest: %s, want %s", look.Digest, want)
					}
				})
			}
		}
	}
}
