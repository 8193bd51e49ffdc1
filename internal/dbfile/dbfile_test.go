package dbfile

import (
	"errors"
	"testing"
)

func TestGuard(t *testing.T) {
	for name, c := range map[string]struct {
		do   func(*Conn)
		want error
	}{
		"a panic": {func(c *Conn) { _ = c.db }, ErrDamaged},
		"nothing": {func(*Conn) {}, nil},
	} {
		do := func() (err error) {
			defer Guard(&err)()
			c.do(nil)
			return nil
		}
		if err := do(); !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
