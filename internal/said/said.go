// Package said writes events and enumerations for logs and as JSON, and makes errors whose texts
// may be logged.
package said

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"
)

// Something returns those attributes that say something: zeros, empty texts, false and times that
// are not known are left out.
func Something(attrs ...slog.Attr) []slog.Attr {
	return slices.DeleteFunc(attrs, func(a slog.Attr) bool {
		switch v := a.Value; v.Kind() {
		case slog.KindString:
			return v.String() == ""
		case slog.KindInt64:
			return v.Int64() == 0
		case slog.KindDuration:
			return v.Duration() == 0
		case slog.KindBool:
			return !v.Bool()
		case slog.KindTime:
			return v.Time().IsZero()
		}
		return false
	})
}

// JSON returns attributes as the object that [slog.JSONHandler] makes of them.
func JSON(attrs []slog.Attr) ([]byte, error) {
	var b bytes.Buffer
	own := func(groups []string, a slog.Attr) slog.Attr {
		if len(groups) == 0 && (a.Key == slog.LevelKey || a.Key == slog.MessageKey) {
			return slog.Attr{}
		}
		return a
	}
	r := slog.NewRecord(time.Time{}, 0, "", 0)
	r.AddAttrs(attrs...)
	err := slog.NewJSONHandler(&b, &slog.HandlerOptions{ReplaceAttr: own}).
		Handle(context.Background(), r)
	return bytes.TrimSpace(b.Bytes()), err
}

// Error returns the text of an error; "" if there is none.
func Error(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// Words are the texts of an enumeration, indexed by value.
type Words []string

// Of returns the word for a value, or the number and a question mark if there is none.
func (w Words) Of(value uint8) string {
	if int(value) < len(w) {
		return w[value]
	}
	return fmt.Sprintf("%d?", value)
}

// Said is [Words.Of] for what is logged: nothing for the zero value.
func (w Words) Said(value uint8) string {
	if value == 0 {
		return ""
	}
	return w.Of(value)
}

// Read sets value to the one that text stands for.
func (w Words) Read(text []byte, value *uint8) error {
	i := slices.Index(w, string(text))
	if i < 0 {
		return fmt.Errorf("%q is none of %q", text, []string(w))
	}
	*value = uint8(i)
	return nil
}
