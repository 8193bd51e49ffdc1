package send

import (
	"errors"
	"fmt"
	"io/fs"
	"testing"

	"github.com/penstock/penstock/internal/secret"
	"github.com/penstock/penstock/internal/status"
)

// Names of packages go, and names of files that look like them stay.
func TestPlain(t *testing.T) {
	file := &fs.PathError{Op: "open", Path: "a: report: b", Err: fs.ErrNotExist}
	inner := fmt.Errorf("source: %w", file)
	for _, c := range []struct {
		err  error
		want string
	}{
		{file, "open a: report: b: file does not exist"},
		{inner, "open a: report: b: file does not exist"},
		{fmt.Errorf("--from: %w", inner), "--from: open a: report: b: file does not exist"},
		{fmt.Errorf("report: the results are incomplete: %w", inner),
			"the results are incomplete: open a: report: b: file does not exist"},
		{fmt.Errorf("%q: no such file", "a: journal: b"), `"a: journal: b": no such file`},
		{errors.Join(errors.New("retry: one"), errors.New("journal: two")), "one\ntwo"},
		{&secret.Error{Text: "PUT http://***: retry: it changed",
			Err: fmt.Errorf("PUT http://x: %w",
				errors.New("retry: it changed"))}, "PUT http://***: it changed"},
		{errors.New("retry: retry: twice"), "retry: twice"}, // a file that is called so, perhaps
	} {
		if got := status.Plain(c.err); got != c.want {
			t.Errorf("%q is %q, want %q", c.err, got, c.want)
		}
	}
}
