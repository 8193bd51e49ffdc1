package body

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
	"testing"

	"github.com/penstock/penstock/internal/item"
)

// A file that cannot be read on is an error of the file, not of the connection.
func TestAttemptError(t *testing.T) {
	broken := &fs.PathError{Op: "read", Path: "a/b", Err: syscall.EIO}
	for err, want := range map[error]string{
		nil:              "<nil>",
		io.EOF:           "EOF",
		os.ErrClosed:     os.ErrClosed.Error(),
		context.Canceled: context.Canceled.Error(),
		ErrMoved:         ErrMoved.Error(),
		item.ErrChanged:  ErrChanged.Error(),
		broken:           "the file cannot be read: input/output error",
	} {
		if got := fmt.Sprint(attemptError(err)); got != want {
			t.Errorf("%v: %q, want %q", err, got, want)
		}
	}
}
