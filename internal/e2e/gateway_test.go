package e2e

import (
	"net"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/lab"
	"github.com/penstock/penstock/internal/servers"
	"github.com/penstock/penstock/internal/test"
)

// startLab starts a practice server that the test's end closes.
func startLab(t *testing.T, preset, params string) (s *lab.Server, url_ string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	test.OK(t, err)
	return startLabOn(t, l, preset, params), "http://" + l.Addr().String()
}

func startLabOn(t *testing.T, l net.Listener, preset, params string) *lab.Server {
	t.Helper()
	values, err := url.ParseQuery(strings.ReplaceAll(params, " ", "&"))
	test.OK(t, err)
	s, err := lab.New(preset, values)
	test.OK(t, err)
	s.Start(l)
	t.Cleanup(func() { s.Close() })
	return s
}

// startGateway starts a service that needs the one processor for 200 ms for each file, behind
// nginx, which waits 2.9 s for it. The work goes on after that.
func startGateway(t *testing.T, params string) (*servers.Nginx, *lab.Server) {
	service, url := startLab(t, "cpu", "cores=1 work=200ms timeout=0 "+params)
	return servers.StartNginx(t, servers.NginxConfig{Proxy: url,
		ProxyTimeout: 2900 * time.Millisecond}), service
}

func TestGateway(t *testing.T) {
	together(t, true)
	gateway(t, "", 0.01)
}

// The same, and the service answers 503 to more than ten at once.
func TestGatewayLimited(t *testing.T) {
	together(t, true)
	gateway(t, "limit=10", 0.02)
}

func gateway(t *testing.T, params string, waste float64) {
	most := 0.0
	if *large {
		most = best(t, 25, 16<<10, []int{1, 2, 4, 8}, func() (string, func()) {
			front, _ := startGateway(t, params)
			return front.URL, front.Stop
		})
	}
	front, service := startGateway(t, params)
	dir := writeFiles(t, size(15, 120), always(16<<10))
	r := send(t, 0, "--to", front.URL+"/{name}", dir)
	j := judged{stored: byLabs(service).stored}
	front.Stop()
	log, err := front.Requests()
	j.countLog(t, log, err)
	j.check(t, dir, j.statuses[504])
	j.waste(t, r, waste)
	if *large {
		atLeast(t, r, "share of the best fixed concurrency",
			float64(len(j.stored))/r.wall.Seconds()/most, 0.95, "")
	}
}
