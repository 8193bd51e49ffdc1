package dbfile

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/penstock/penstock/internal/test"
)

// inSQLite returns what SQLite says of a statement on a file with that content.
func inSQLite(t *testing.T, content, mode, statement string) error {
	t.Helper()
	path := filepath.Join(t.TempDir(), "f.db")
	test.OK(t, os.WriteFile(path, []byte(content), 0o600))
	c, err := Open(t.Context(), path, mode)
	if err != nil {
		return err
	}
	defer c.Close()
	_, err = c.ExecContext(t.Context(), statement)
	return err
}

func TestFaultOf(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		want Fault
		says string // in which the error begins
	}{
		"damaged":  {fmt.Errorf("%w: cut short", ErrDamaged), Damaged, "is damaged: cut short"},
		"foreign":  {ErrForeign, Foreign, ErrForeign.Error()},
		"log only": {fmt.Errorf("%w, but", ErrLogOnly), LogOnly, ErrLogOnly.Error()},
		"replaced": {ErrReplaced, Replaced, ErrReplaced.Error()},
		"full":     {&fs.PathError{Op: "write", Path: "f", Err: syscall.ENOSPC}, Full, "write f: "},
		"quota":    {syscall.EDQUOT, Full, ""},
		"no right": {&fs.PathError{Op: "open", Path: "f", Err: syscall.EACCES}, Unwritten,
			"open f: "},
		"read only": {inSQLite(t, "", "ro", "CREATE TABLE t (a)"), Unwritten,
			"cannot be written (SQLite: "},
		"no SQLite file": {inSQLite(t, strings.Repeat("text ", 1000), "rw", "SELECT * FROM t"),
			Damaged, "is damaged (SQLite: "},
		"too large": {inSQLite(t, "", "rw", "PRAGMA max_page_count = 1; CREATE TABLE t (a)"), Full,
			"the disk is full (SQLite: "},
		"another": {os.ErrClosed, Other, os.ErrClosed.Error()},
	} {
		got, err := FaultOf(c.err)
		if got != c.want || !strings.HasPrefix(fmt.Sprint(err), c.says) {
			t.Errorf("%s: fault %d: %v", name, got, err)
		}
	}
}
