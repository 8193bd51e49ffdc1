package nethttp_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"

	"github.com/penstock/penstock/internal/nethttp"
)

// The texts are those of this version of net/http, wherever they come in a chain of errors.
func TestAnswersThatAreNotHTTP(t *testing.T) {
	for _, row := range []struct {
		answer       string
		notHTTP, tls bool
	}{
		{"OK stored\r\n", true, false},
		{"HTTP/9 x\r\n\r\n", true, false},
		{"\x15\x03\x01\x00\x02\x02\x16\r\n", true, true},
		{"HTTP/1.1 200 OK\r\nbad header\r\n\r\n", false, false},
		{"", false, false},
	} {
		tr := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
			own, peer := net.Pipe()
			go func() {
				_, _ = peer.Read(make([]byte, 4096))
				_, _ = io.WriteString(peer, row.answer)
				_ = peer.Close()
			}()
			return own, nil
		}}
		_, err := (&http.Client{Transport: tr}).Get("http://h.example/")
		err = fmt.Errorf("it failed: %w", err)
		if nethttp.NotHTTP(err) != row.notHTTP || nethttp.SpeaksTLS(err) != row.tls {
			t.Errorf("%q: not as expected: %v", row.answer, err)
		}
	}
	if nethttp.NotHTTP(nil) || nethttp.SpeaksTLS(nil) {
		t.Error("there is no error")
	}
}
