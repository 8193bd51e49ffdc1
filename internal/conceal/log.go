package conceal

import (
	"context"
	"io"
	"log/slog"
	"strings"
)

// Logger returns a logger that passes each message through show. Attributes are left as they are:
// nothing that is not ours may stand in them.
func Logger(l *slog.Logger, show func(string) string) *slog.Logger {
	return slog.New(discreet{l.Handler(), show})
}

type discreet struct {
	slog.Handler
	show func(string) string
}

func (h discreet) WithAttrs(a []slog.Attr) slog.Handler {
	return discreet{h.Handler.WithAttrs(a), h.show}
}

func (h discreet) WithGroup(name string) slog.Handler {
	return discreet{h.Handler.WithGroup(name), h.show}
}

func (h discreet) Handle(ctx context.Context, r slog.Record) error {
	shown := r.Clone()
	shown.Message = h.show(r.Message)
	return h.Handler.Handle(ctx, shown)
}

// NetLog returns a writer for net/http's log. net/http reports there that a server sent something
// unasked, and quotes it. The quote is left out, since it may repeat what we sent.
func NetLog(l *slog.Logger) io.Writer { return netLog{l} }

type netLog struct{ *slog.Logger }

func (l netLog) Write(p []byte) (int, error) {
	text, _, _ := strings.Cut(strings.TrimRight(string(p), "\r\n"), `"`)
	l.Debug(strings.TrimSuffix(text, " starting with "))
	return len(p), nil
}
