package wire

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock/penstock/internal/memnet"
)

// serve has each connection served until the test ends, and returns the network to reach them by.
func serve(t *testing.T, conn func(c net.Conn)) Network {
	l := memnet.Listen()
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				defer c.Close()
				conn(c)
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		serving.Wait()
	})
	return Network{StallTimeout: time.Hour, Dial: l.DialContext}
}

// Where few files may be open, idle connections of any kind make room for new ones, whenever they
// became idle.
func TestIdleConnectionsMakeRoom(t *testing.T) {
	const most = 4
	for _, answers := range []time.Duration{0, time.Second} {
		synctest.Test(t, func(t *testing.T) {
			tr := &Transport{MaxIdle: most, Network: serve(t, func(c net.Conn) {
				for r := bufio.NewReader(c); ; {
					req, err := http.ReadRequest(r)
					if err != nil {
						return
					}
					_, _ = io.Copy(io.Discard, req.Body)
					time.Sleep(answers)
					_, _ = io.WriteString(c, "HTTP/1.1 204 No Content\r\n\r\n")
				}
			})}
			tr.MaxFiles = otherFiles + 2*most
			tr.Unrepeatable = func(req *http.Request) bool { return req.Method == http.MethodPost }
			t.Cleanup(tr.CloseIdleConnections)
			send := func(method string, host int) {
				url := fmt.Sprintf("http://h%d.example/", host)
				req, err := http.NewRequest(method, url, strings.NewReader("x"))
				if err != nil {
					t.Error(err)
					return
				}
				resp, err := tr.RoundTrip(req)
				if err != nil {
					t.Error(err)
					return
				}
				resp.Body.Close()
			}
			var sending sync.WaitGroup
			for i := range most {
				sending.Go(func() { send([]string{http.MethodPut, http.MethodPost}[i%2], i) })
			}
			if answers == 0 {
				sending.Wait()
			}
			time.Sleep(time.Millisecond)
			before := time.Now()
			send(http.MethodPut, most)
			if took := time.Since(before); took > 2*answers+roomEvery {
				t.Errorf("waited %v for a place", took-answers)
			}
			sending.Wait()
		})
	}
}
