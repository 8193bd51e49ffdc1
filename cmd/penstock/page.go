package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/penstock/penstock/internal/board"
	"github.com/penstock/penstock/internal/conceal"
	"github.com/penstock/penstock/internal/hosts"
)

// readAddress reads where to listen. Without a host that is this machine's own address.
func readAddress(s string) (string, error) {
	host, port, err := net.SplitHostPort(s)
	if err != nil || port == "" {
		return "", errors.New("want an address with a port, such as 127.0.0.1:8431")
	}
	if host == "" {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port), nil
}

// A page shows a run while it lasts.
type page struct {
	state  atomic.Pointer[board.State]
	server *http.Server
	end    context.CancelFunc
	parts  sync.WaitGroup
}

// showPage begins to show a run, and says where.
func showPage(l net.Listener, to *slog.Logger) *page {
	p := new(page)
	now := time.Now()
	p.publish(board.State{Command: "send", Started: now, Now: now})
	b := board.New(func() board.State { return *p.state.Load() })
	p.server = &http.Server{
		Handler:           hosts.New(nil, l.Addr()).Only(b),
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          log.New(conceal.NetLog(to), "", 0),
	}
	ctx, end := context.WithCancel(context.Background())
	p.end = end
	p.parts.Go(func() { b.Run(ctx) })
	p.parts.Go(func() { _ = p.server.Serve(l) }) // until close
	to.Info(fmt.Sprintf("this run is shown at http://%s/", l.Addr()))
	if addr, ok := l.Addr().(*net.TCPAddr); ok && !addr.IP.IsLoopback() {
		to.Warn("others can see there what this run does, and the names of its files: " +
			"give --page an address of this machine's own, such as 127.0.0.1:8431")
	}
	return p
}

// publish has the page show a state.
func (p *page) publish(s board.State) {
	s.Version = strings.Trim(version(), "()")
	p.state.Store(&s)
}

// close tells those who look at the page the last of the run.
func (p *page) close() {
	p.end()
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if p.server.Shutdown(ctx) != nil {
		_ = p.server.Close() // somebody does not read it
	}
	p.parts.Wait()
}
