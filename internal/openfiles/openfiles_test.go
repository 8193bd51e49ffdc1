//go:build unix

package openfiles

import (
	"context"
	"errors"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

func TestPatiently(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		full := &os.PathError{Op: "open", Err: syscall.EMFILE}
		other := errors.New("other")
		for _, c := range []struct {
			errs []error // the last one again and again
			want error
			took time.Duration
		}{
			{[]error{nil}, nil, 0},
			{[]error{other}, other, 0},
			{[]error{full, full, full, nil}, nil, 70 * time.Millisecond},
			{[]error{os.NewSyscallError("socket", syscall.ENFILE), other}, other,
				10 * time.Millisecond},
			{[]error{full}, full, time.Minute},
		} {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			start, n := time.Now(), -1
			err := Patiently(ctx, func() error {
				n = min(n+1, len(c.errs)-1)
				return c.errs[n]
			})
			if err != c.want || time.Since(start) != c.took {
				t.Errorf("%v: %v after %v, want %v after %v", c.errs, err, time.Since(start),
					c.want, c.took)
			}
		}
	})
}

func TestLimit(t *testing.T) {
	var was syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &was); err != nil {
		t.Skip(err)
	}
	set := was
	set.Cur -= set.Cur / 10
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &set); err != nil {
		t.Skip(err)
	}
	defer syscall.Setrlimit(syscall.RLIMIT_NOFILE, &was)
	if got := Limit(); uint64(got) != uint64(set.Cur) && set.Cur <= 1<<30 {
		t.Errorf("%d, want %d", got, set.Cur)
	}
}
