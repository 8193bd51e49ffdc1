package send

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"syscall"
	"testing"

	"github.com/penstock/penstock/internal/body"
	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/retry"
	"github.com/penstock/penstock/throttle"
)

// What penstock broke off itself, or a server that closed an idle connection, is not a server that
// cannot be reached.
func TestTroubleOfOurOwn(t *testing.T) {
	denied := &body.ReadError{Err: item.ReadError(&fs.PathError{Op: "open", Path: "f",
		Err: fs.ErrPermission})}
	for _, c := range []struct {
		err     error
		outcome throttle.Outcome
		want    string
	}{
		{body.ErrChanged, throttle.Ignored, "the file changed while it was sent"},
		{fmt.Errorf("write: %w", body.ErrMoved), throttle.Ignored,
			"the file changed before it was sent"},
		{&net.OpError{Op: "readfrom", Err: denied}, throttle.Ignored, "the file cannot be read"},
		{&body.ReadError{Err: errors.New("it changes")}, throttle.Ignored,
			"the file cannot be read"},
		{io.EOF, throttle.Ignored, "connection lost"},
		{errors.New("http: server closed idle connection"), throttle.Ignored, "connection lost"},
		{fmt.Errorf("read: %w", syscall.ECONNRESET), throttle.Overloaded, "connection lost"},
		{errors.New("http: ContentLength=2 with Body length 1"), throttle.Ignored, "broken off"},
		{errors.New("malformed HTTP response"), throttle.Failed, "it cannot be reached"},
	} {
		if got := troubleOf(throttle.Event{Err: c.err, Outcome: c.outcome}); got != c.want {
			t.Errorf("%v: %q, want %q", c.err, got, c.want)
		}
	}
}

// What is said of a file that could not be sent depends on how much of it may have arrived.
func TestClassifiedFaults(t *testing.T) {
	for _, c := range []struct {
		method string
		err    error
		kind   retry.Kind
		doubt  bool
	}{
		{"PUT", &body.ReadError{Err: syscall.EIO, Begun: true}, retry.Unprocessed, true},
		{"POST", &body.ReadError{Err: syscall.EIO, Begun: true}, retry.Uncertain, false},
		{"PUT", body.ErrChanged, retry.Unprocessed, true},
		{"POST", body.ErrChanged, retry.Uncertain, false},
		{"PUT", body.ErrMoved, retry.Unprocessed, false},
		{"POST", body.ErrMoved, retry.Unprocessed, false},
		{"PUT", &body.ReadError{Err: fs.ErrPermission}, retry.Rejected, false},
		{"POST", &body.ReadError{Err: fs.ErrPermission}, retry.Rejected, false},
	} {
		j := &job{item: item.Item{Method: c.method}}
		req, err := http.NewRequestWithContext(context.WithValue(t.Context(), jobKey{}, j),
			c.method, "http://h/", nil)
		if err != nil {
			t.Fatal(err)
		}
		v := new(run).classify(req, nil, &net.OpError{Op: "readfrom", Err: c.err})
		if v.Kind != c.kind || j.Doubt != c.doubt {
			t.Errorf("%s, %v: %v, in doubt: %v", c.method, c.err, v.Kind, j.Doubt)
		}
	}
}
