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

	"github.com/spf13/pflag"

	"github.com/penstock/penstock/internal/board"
	"github.com/penstock/penstock/internal/conceal"
	"github.com/penstock/penstock/internal/hosts"
	"github.com/penstock/penstock/internal/metrics"
	"github.com/penstock/penstock/internal/outfile"
)

// writeMetrics is how often a file of metrics is written: as often as Prometheus usually looks.
const writeMetrics = 15 * time.Second

// readMetricsFile reads the name of a file of metrics.
func readMetricsFile(s string) (string, error) {
	if !metrics.IsNamedWell(s) {
		return "", errors.New("want a name that ends in .prom: the node exporter reads no others")
	}
	return s, nil
}

// metricsFileVar declares --metrics-file.
func metricsFileVar(flags *pflag.FlagSet, path *string) {
	flags.Var(newValue(path, "FILE", readMetricsFile), "metrics-file",
		"write metrics for the node exporter's textfile collector there, every 15 seconds and at "+
			"the end, with the exit status; a name that ends in .prom")
}

// checkMetricsFile is an error if the file cannot be written, or is one of the others.
func checkMetricsFile(path string, others ...string) error {
	if path == "" {
		return nil
	}
	for _, other := range others {
		if other != "" && outfile.Same(path, other) {
			return errors.New("--metrics-file names the file of another flag: one would overwrite " +
				"the other")
		}
	}
	if err := metrics.CheckFile(path); err != nil {
		return fmt.Errorf("--metrics-file: %w", err)
	}
	return nil
}

// A view shows what a run does while it lasts. The zero value shows nothing.
type view struct {
	page, metrics net.Listener
	file          *metricsFile

	state atomic.Pointer[board.State]
	ends  []func()
}

// listen opens what the view is shown at, before anything is sent.
func (v *view) listen(page, metrics string) (err error) {
	for _, at := range []struct {
		flag, address string
		l             *net.Listener
	}{{"--page", page, &v.page}, {"--metrics", metrics, &v.metrics}} {
		if at.address == "" {
			continue
		}
		if *at.l, err = listen(at.flag, at.address); err != nil {
			v.close()
			return err
		}
		v.ends = append(v.ends, func() { _ = (*at.l).Close() })
	}
	return nil
}

// begin begins to show a run, and says where.
func (v *view) begin(file string, to *slog.Logger) {
	now := time.Now()
	v.publish(board.State{Command: "send", Started: now, Now: now})
	state := func() board.State { return *v.state.Load() }
	if v.page != nil {
		b := board.New(state)
		ctx, end := context.WithCancel(context.Background())
		var running sync.WaitGroup
		running.Go(func() { b.Run(ctx) })
		stop := serve(v.page, hosts.New(nil, v.page.Addr()).Only(b), to)
		v.ends = append(v.ends, func() { end(); stop(); running.Wait() })
		to.Info(fmt.Sprintf("this run is shown at http://%s/", v.page.Addr()))
		if !isLoopback(v.page.Addr()) {
			to.Warn("others can see there what this run does, and the names of its files: " +
				"give --page an address of this machine's own, such as 127.0.0.1:8431")
		}
	}
	if v.metrics != nil {
		mux := http.NewServeMux()
		mux.Handle("GET /metrics", metrics.Handler(state))
		stop := serve(v.metrics, hosts.New(nil, v.metrics.Addr()).Only(mux), to)
		v.ends = append(v.ends, stop)
		to.Info(fmt.Sprintf("metrics for Prometheus are at http://%s/metrics", v.metrics.Addr()))
	}
	if file != "" {
		v.file = keepMetrics(metrics.File{Path: file, State: state}, to)
	}
}

// publish has the view show a state.
func (v *view) publish(s board.State) {
	s.Version = versionName()
	v.state.Store(&s)
}

// close sends readers the last state of the run.
func (v *view) close() {
	for _, end := range v.ends {
		end()
	}
	v.ends = nil
}

func versionName() string { return strings.Trim(version(), "()") }

// serve serves until the function is called that it returns. That gives answers that are under way
// a second to end.
func serve(l net.Listener, h http.Handler, to *slog.Logger) (stop func()) {
	server := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          log.New(conceal.NetLog(to), "", 0),
	}
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(l) }) // until stop
	return func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if server.Shutdown(ctx) != nil {
			_ = server.Close() // somebody does not read it
		}
		serving.Wait()
	}
}

// A metricsFile is written now and then, until the end.
type metricsFile struct {
	metrics.File
	stop    chan struct{}
	running sync.WaitGroup
}

// keepMetrics begins to write a file of metrics. [metricsFile.end] must be called.
func keepMetrics(file metrics.File, to *slog.Logger) *metricsFile {
	f := &metricsFile{File: file, stop: make(chan struct{})}
	f.running.Go(func() {
		ticker := time.NewTicker(writeMetrics)
		defer ticker.Stop()
		for told := false; ; {
			if err := f.Write(); err != nil && !told {
				told = true
				to.Warn(fmt.Sprintf("--metrics-file: %v: its numbers are old", err))
			}
			select {
			case <-f.stop:
				return
			case <-ticker.C:
			}
		}
	})
	return f
}

// end writes that all has ended. If f is nil, there is no file.
func (f *metricsFile) end(status int) error {
	if f == nil {
		return nil
	}
	close(f.stop)
	f.running.Wait()
	if err := f.WriteEnd(time.Now(), status); err != nil {
		return fmt.Errorf("--metrics-file: %w", err)
	}
	return nil
}
