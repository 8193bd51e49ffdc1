package main

import (
	"context"
	"fmt"
	"net"
	"sync"

	"github.com/penstock/penstock/internal/admin"
	"github.com/penstock/penstock/internal/board"
	"github.com/penstock/penstock/internal/exit"
	"github.com/penstock/penstock/internal/hosts"
	"github.com/penstock/penstock/internal/metrics"
	"github.com/penstock/penstock/internal/relay"
)

// show begins to show a relay, and to let it be changed. What it returns must be called when the
// relay has ended.
func (f *relayFlags) show(r *relay.Relay, at net.Listener) (ended func(failed error) error) {
	state := func() board.State {
		s := r.State()
		s.Version = versionName()
		return s
	}
	stop := func() {}
	if at != nil {
		a := admin.New(r, state, hosts.New(f.run.Hosts, at.Addr()))
		ctx, end := context.WithCancel(context.Background())
		var running sync.WaitGroup
		running.Go(func() { a.Run(ctx) })
		unserve := serve(at, a, r.Log)
		stop = func() { end(); unserve(); running.Wait() }
		r.Log.Info(fmt.Sprintf("its page, state and metrics are at http://%s/", at.Addr()))
		if !isLoopback(at.Addr()) {
			r.Log.Warn("whoever reaches that address can change the relay's limits, pause it and end " +
				"it: let only whom you trust reach it")
		}
	}
	var file *metricsFile
	if f.metricsFile != "" {
		file = keepMetrics(metrics.File{Path: f.metricsFile, State: state}, r.Log)
	}
	return func(failed error) error {
		stop()
		if failed != nil {
			return file.end(exit.Failed)
		}
		return file.end(exit.Delivered)
	}
}
