package main

import (
	"context"
	"io"
	"log/slog"
	"strings"

	"github.com/penstock/penstock/internal/progress"
)

// newLogger returns a logger that talks through the progress, so that a line does not tear a bar.
func newLogger(p progress.Sink, format string, quiet, verbose bool) *slog.Logger {
	level := slog.LevelInfo
	switch {
	case quiet:
		level = slog.LevelError
	case verbose:
		level = slog.LevelDebug
	}
	w := writerFunc(func(line []byte) { p.Log(strings.TrimSuffix(string(line), "\n")) })
	if format == "json" {
		return slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level}))
	}
	return slog.New(plain{w, level})
}

type writerFunc func([]byte)

func (f writerFunc) Write(p []byte) (int, error) { f(p); return len(p), nil }

// plain logs a sentence a line, with the attributes behind it.
type plain struct {
	w     io.Writer
	level slog.Level
}

func (h plain) Enabled(_ context.Context, l slog.Level) bool { return l >= h.level }
func (h plain) WithAttrs([]slog.Attr) slog.Handler           { return h } // send uses none
func (h plain) WithGroup(string) slog.Handler                { return h }

func (h plain) Handle(_ context.Context, r slog.Record) error {
	var b strings.Builder
	b.WriteString("penstock: ")
	b.WriteString(strings.ReplaceAll(r.Message, "\n", "?")) // of a file's name
	r.Attrs(func(a slog.Attr) bool {
		b.WriteString("; " + a.Key + " " + a.Value.String())
		return true
	})
	_, err := io.WriteString(h.w, b.String())
	return err
}
