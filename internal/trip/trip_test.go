package trip

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/penstock/penstock/internal/filebody"
)

func TestSentWholeCostsNothing(t *testing.T) {
	trip := new(Trip)
	trip.mark(GotConn | WroteRequest)
	allocs := testing.AllocsPerRun(10, func() { trip.SentWhole(t.Context()) })
	if allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
}

// What net/http knows as bytes in memory goes out with the header, and a file by sendfile.
func TestBodiesThatNetHTTPKnows(t *testing.T) {
	a, req := new(Trip), new(http.Request)
	for _, body := range []io.Reader{strings.NewReader("x"), bytes.NewReader([]byte("x")),
		bytes.NewBufferString("x")} {
		r, _ := http.NewRequest("PUT", "http://h.example/", body)
		if a.SetBody(req, r.Body); req.Body != r.Body {
			t.Errorf("%T became %T", r.Body, req.Body)
		}
	}
	small, big := filepath.Join(t.TempDir(), "small"), filepath.Join(t.TempDir(), "big")
	if err := errors.Join(os.WriteFile(small, []byte("data"), 0o600),
		os.WriteFile(big, make([]byte, filebody.MaxSmall+1), 0o600)); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(small)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	large, _ := http.NewRequest("PUT", "http://h.example/", nil)
	if err := filebody.Set(large, big); err != nil {
		t.Fatal(err)
	}
	defer large.Body.Close()
	for _, body := range []io.ReadCloser{f, large.Body} {
		a.SetBody(req, body)
		if _, ok := req.Body.(syscall.Conn); !ok {
			t.Errorf("%T became %T", body, req.Body)
		}
	}
	own, peer := net.Pipe()
	defer own.Close()
	defer peer.Close()
	if a.SetBody(req, connBody{own}); req.Body != io.ReadCloser(connBody{own}) {
		t.Errorf("a connection became %T", req.Body)
	}
}

type connBody struct{ net.Conn }

func (connBody) SyscallConn() (syscall.RawConn, error) { return nil, syscall.EINVAL }
