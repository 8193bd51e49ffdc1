package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/penstock/penstock/internal/servers"
)

// relayBody is the length of an answer in the load test of relays.
const relayBody = 351

// relayUsers are how many ask at once, each one thing after the other.
var relayUsers = []int{10, 50, 100, 150, 200, 300}

// relayWarm and relaySpan are how long a round lasts, without and with counting.
const (
	relayWarm = 500 * time.Millisecond
	relaySpan = 2 * time.Second
)

// A contender is a server that is asked.
type contender struct {
	name, url string
	rounds    map[int][]answers // by users
}

// A answers is one round of one contender.
type answers struct {
	perSecond         float64
	mean, median, p99 time.Duration
}

// benchRelay compares penstock relay with nginx, where both keep answers, and with a bare
// httputil.ReverseProxy, where both pass them on. All stand before the same nginx, and take turns.
func benchRelay(ctx context.Context, bin, dir string, rounds int, out io.Writer) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var started []*exec.Cmd
	defer func() {
		cancel()
		for _, cmd := range started {
			_ = cmd.Wait()
		}
	}()
	start := func(name string, args ...string) error {
		cmd := exec.CommandContext(ctx, name, args...)
		cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
		cmd.WaitDelay = 5 * time.Second
		started = append(started, cmd)
		return cmd.Start()
	}
	ports, err := freePorts(5)
	if err != nil {
		return err
	}
	at := func(i int) string { return "http://127.0.0.1:" + strconv.Itoa(ports[i]) }
	listen := func(i int) string { return "127.0.0.1:" + strconv.Itoa(ports[i]) }
	nginx, err := servers.FindNginx()
	if err != nil {
		return err
	}
	conf, err := relayConfig(dir, ports[0], ports[1])
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	err = errors.Join(
		start(nginx, "-p", dir, "-c", conf),
		start(bin, "relay", "-q", "--store", "none", "--to", at(0), "--listen", listen(2),
			"--cache", "64MiB"),
		start(bin, "relay", "-q", "--store", "none", "--to", at(0), "--listen", listen(3)),
		start(self, "reverse", at(0), listen(4)))
	if err != nil {
		return err
	}
	cached := []*contender{{name: "relay, cached", url: at(2)}, {name: "nginx proxy_cache",
		url: at(1)}}
	passed := []*contender{{name: "relay", url: at(3)}, {name: "ReverseProxy", url: at(4)}}
	all := slices.Concat(cached, passed)
	for _, c := range all {
		if err := await(ctx, c.url+"/f"); err != nil {
			return fmt.Errorf("bench: %s: %w", c.name, err)
		}
		c.rounds = map[int][]answers{}
	}
	for range rounds {
		for _, users := range relayUsers {
			for _, c := range all {
				one, err := loadTest(ctx, c.url+"/f", users)
				if err != nil {
					return fmt.Errorf("bench: %s, %d users: %w", c.name, users, err)
				}
				c.rounds[users] = append(c.rounds[users], one)
			}
		}
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "users\tserver\trequests/s\tmean\tmedian\tp99\tof the other\t")
	for _, pair := range [][]*contender{cached, passed} {
		for _, users := range relayUsers {
			ours, theirs := medianLoad(pair[0].rounds[users]), medianLoad(pair[1].rounds[users])
			for i, l := range []answers{ours, theirs} {
				share := ""
				if i == 0 {
					share = fmt.Sprintf("%.2f", ours.perSecond/theirs.perSecond)
				}
				fmt.Fprintf(table, "%d\t%s\t%.0f\t%v\t%v\t%v\t%s\t\n", users, pair[i].name,
					l.perSecond, l.mean.Round(10*time.Microsecond),
					l.median.Round(10*time.Microsecond), l.p99.Round(10*time.Microsecond), share)
			}
		}
	}
	if err := table.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(out)
	return benchSteady(ctx, passed, rounds, out)
}

// relayConfig writes the configuration of one nginx that is both the origin and a cache before it.
func relayConfig(dir string, origin, cache int) (string, error) {
	if err := os.Chmod(dir, 0o755); err != nil { // nginx's workers are another user, if we are root
		return "", err
	}
	if err := os.WriteFile(filepath.Join(dir, "f"), bytes.Repeat([]byte("x"), relayBody),
		0o644); err != nil {
		return "", err
	}
	text := fmt.Sprintf(`
daemon off; pid nginx.pid; error_log stderr crit; worker_processes auto;
events { worker_connections 4096; }
http {
	access_log off; keepalive_requests 100000000;
	client_body_temp_path t1; proxy_temp_path t2; fastcgi_temp_path t3; uwsgi_temp_path t4;
	scgi_temp_path t5;
	proxy_cache_path cache keys_zone=c:1m;
	upstream origin { server 127.0.0.1:%d; keepalive 64; }
	server {
		listen 127.0.0.1:%[1]d; root %q;
		location / { add_header Cache-Control "max-age=3600"; }
	}
	server {
		listen 127.0.0.1:%[3]d;
		location / {
			proxy_pass http://origin; proxy_http_version 1.1; proxy_set_header Connection "";
			proxy_cache c;
		}
	}
}
`, origin, dir, cache)
	name := filepath.Join(dir, "relay.conf")
	return name, os.WriteFile(name, []byte(text), 0o644)
}

// reverse is a bare httputil.ReverseProxy.
func reverse(to, listen string) error {
	u, err := url.Parse(to)
	if err != nil {
		return err
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConns, transport.MaxIdleConnsPerHost = 0, 512
	proxy := &httputil.ReverseProxy{Transport: transport,
		Rewrite: func(p *httputil.ProxyRequest) { p.SetURL(u) }}
	return (&http.Server{Addr: listen, Handler: proxy}).ListenAndServe()
}

// freePorts returns ports on which no program listened just now.
func freePorts(n int) (ports []int, err error) {
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close()
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}

// await asks until there is an answer.
func await(ctx context.Context, url string) error {
	var err error
	for range 100 {
		var resp *http.Response
		if resp, err = http.Get(url); err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
			err = errors.New(resp.Status)
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return err
}

// loadTest has so many users ask for the same thing, each on a connection of its own.
func loadTest(ctx context.Context, target string, users int) (answers, error) {
	u, err := url.Parse(target)
	if err != nil {
		return answers{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, relayWarm+relaySpan)
	defer cancel()
	from := time.Now().Add(relayWarm)
	took, err := together(users, func() ([]time.Duration, error) { return ask(ctx, u, from) })
	if err != nil {
		return answers{}, err
	}
	slices.Sort(took)
	var sum time.Duration
	for _, d := range took {
		sum += d
	}
	n := len(took)
	return answers{float64(n) / relaySpan.Seconds(), sum / time.Duration(n), took[n/2],
		took[n*99/100]}, nil
}

// ask asks again and again until ctx ends, and returns how long the answers took that began after
// from.
func ask(ctx context.Context, u *url.URL, from time.Time) (took []time.Duration, err error) {
	c, err := dial(u)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	for ctx.Err() == nil {
		begin := time.Now()
		if err := c.ask(); err != nil {
			return nil, err
		}
		if begin.After(from) {
			took = append(took, time.Since(begin))
		}
	}
	return took, nil
}

var okLine, lengthLine = []byte("HTTP/1.1 200 "), []byte("Content-Length: 351\r\n")

// readAnswer reads an answer of relayBody bytes, and nothing else.
func readAnswer(r *bufio.Reader) error {
	line, err := r.ReadSlice('\n')
	if err == nil && !bytes.HasPrefix(line, okLine) {
		err = fmt.Errorf("the answer is %q", line)
	}
	known := false
	for err == nil && len(line) > 2 {
		if line, err = r.ReadSlice('\n'); bytes.Equal(line, lengthLine) {
			known = true
		}
	}
	if err == nil && !known {
		err = errors.New("the answer has another length")
	}
	if err == nil {
		_, err = r.Discard(relayBody)
	}
	return err
}

// medianLoad returns the median of each number.
func medianLoad(rounds []answers) answers {
	of := func(by func(answers) float64) float64 {
		var all []float64
		for _, r := range rounds {
			all = append(all, by(r))
		}
		slices.Sort(all)
		return all[len(all)/2]
	}
	return answers{
		of(func(l answers) float64 { return l.perSecond }),
		time.Duration(of(func(l answers) float64 { return float64(l.mean) })),
		time.Duration(of(func(l answers) float64 { return float64(l.median) })),
		time.Duration(of(func(l answers) float64 { return float64(l.p99) })),
	}
}
