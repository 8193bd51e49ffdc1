package send

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// Where few files may be open, idle connections of any kind make room for new ones, whenever they became idle.
func TestIdleConnectionsMakeRoom(t *testing.T) {
	const most = 4
	for _, answers := range []time.Duration{0, time.Second} {
		onRawServer(t, 1, func(c net.Conn) {
			for r := bufio.NewReader(c); request(r) != nil; {
				time.Sleep(answers)
				_, _ = io.WriteString(c, "HTTP/1.1 204 No Content\r\n\r\n")
			}
		}, func(w *world) {
			n := w.Network
			n.files, n.StallTimeout = otherFiles+2*most, time.Hour
			n.Unrepeatable = func(req *http.Request) bool { return req.Method == http.MethodPost }
			c := n.base(most)
			defer c.CloseIdleConnections()
			send := func(method string, host int) {
				req, err := http.NewRequestWithContext(w.Context(), method, fmt.Sprintf("http://h%d.example/", host), strings.NewReader("x"))
				if err != nil {
					w.Error(err)
					return
				}
				resp, err := c.RoundTrip(req)
				if err != nil {
					w.Error(err)
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
				w.Errorf("waited %v for a place", took-answers)
			}
			sending.Wait()
		})
	}
}
