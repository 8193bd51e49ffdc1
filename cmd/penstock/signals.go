package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/penstock/penstock/internal/exit"
	"github.com/penstock/penstock/internal/results"
)

// stopping are the signals that ask the program to stop, but for those that it was started with as
// ignored: nohup has a program outlive its terminal, and a shell has a job in the background
// outlive a Ctrl-C that is meant for another one.
func stopping() (signals []os.Signal) {
	for _, s := range []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP} {
		if !signal.Ignored(s) {
			signals = append(signals, s)
		}
	}
	return signals
}

// interrupts returns a context that the first signal ends; the second ends everything, through
// stop. The third has its default action, which no part of the program can hold up.
func interrupts(
	ctx context.Context, stop context.CancelCauseFunc,
) (soft context.Context, restore func()) {
	soft, end := context.WithCancelCause(ctx)
	signals := make(chan os.Signal, 3)
	if wanted := stopping(); len(wanted) > 0 { // none would mean all
		signal.Notify(signals, wanted...)
	}
	next := func(do context.CancelCauseFunc) bool {
		select {
		case s := <-signals:
			do(&exit.Signal{Signal: s})
			return true
		case <-ctx.Done():
			return false
		}
	}
	go func() {
		if !next(end) || !next(stop) {
			return
		}
		signal.Stop(signals)
		select {
		case s := <-signals: // it came before Stop
			if self, err := os.FindProcess(os.Getpid()); err == nil && self.Signal(s) == nil {
				return
			}
			os.Exit((&exit.Signal{Signal: s}).Status()) // where there are no signals
		default:
		}
	}()
	return soft, func() { signal.Stop(signals); end(nil) }
}

// within does something that may block, as writing to a pipe does, and reports whether it has
// ended. It waits for that as long as it takes, but only for a moment once the user has asked to
// stop.
func within(soft context.Context, do func()) bool {
	done := make(chan struct{})
	go func() { defer close(done); do() }()
	select {
	case <-done:
		return true
	case <-soft.Done():
	}
	select {
	case <-done:
		return true
	case <-time.After(results.LastWords):
		return false
	}
}
