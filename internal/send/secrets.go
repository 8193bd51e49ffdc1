package send

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"strings"

	"github.com/penstock/penstock/internal/human"
	"github.com/penstock/penstock/internal/report"
	"github.com/penstock/penstock/internal/secret"
	"github.com/penstock/penstock/internal/source"
)

// secrets are texts that must not appear in any output: a server may send them
// back in what it says of a refusal.
type secrets struct{ set secret.Set }

// newSecrets takes the values of headers, and users, passwords and the values of
// queries in URLs.
func newSecrets(h http.Header, urls ...string) (s secrets) {
	s.set.AddHeader(h)
	for _, u := range urls {
		s.set.AddURL(u)
	}
	return s
}

// redact returns a text that may be shown to people, on one line.
func (s secrets) redact(text string) string {
	return human.Printable(report.RedactText(s.set.Hide(text)))
}

// clean returns an error with a text that may be shown.
func (s secrets) clean(err error) error {
	if text := s.redact(err.Error()); text != err.Error() {
		return &secret.Error{Text: text, Err: err}
	}
	return err
}

// hide makes a text about an item fit to be shown.
func (r *run) hide(it source.Item, text string) string {
	if text == "" {
		return ""
	}
	own := newSecrets(it.Header, it.URL)
	own.set.AddSet(&r.secrets.set)
	return own.redact(text)
}

// A discreet handler says nothing that is secret for all items, and nothing that
// could disturb a terminal. What is secret of one item is hidden before.
type discreet struct {
	slog.Handler
	secrets secrets
}

// logger returns one that is discreet.
func (s secrets) logger(l *slog.Logger) *slog.Logger {
	return slog.New(discreet{l.Handler(), s})
}

func (h discreet) WithAttrs(a []slog.Attr) slog.Handler {
	return discreet{h.Handler.WithAttrs(a), h.secrets}
}
func (h discreet) WithGroup(name string) slog.Handler {
	return discreet{h.Handler.WithGroup(name), h.secrets}
}

func (h discreet) Handle(ctx context.Context, r slog.Record) error {
	shown := slog.NewRecord(r.Time, r.Level, human.Printable(h.secrets.set.Hide(r.Message)), r.PC)
	r.Attrs(func(a slog.Attr) bool { shown.AddAttrs(a); return true })
	return h.Handler.Handle(ctx, shown)
}

// NetLog is what net/http may write its log to. It tells there of servers that send
// what nobody asked for, and quotes them: that is left out, for they may quote us.
func NetLog(l *slog.Logger) io.Writer { return netLog{l} }

type netLog struct{ *slog.Logger }

func (l netLog) Write(p []byte) (int, error) {
	text, _, _ := strings.Cut(strings.TrimRight(string(p), "\r\n"), `"`)
	l.Debug(human.Printable(strings.TrimSuffix(text, " starting with ")))
	return len(p), nil
}
