package source

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/penstock/penstock/internal/lines"
)

func statRegular(name string) (fs.FileInfo, error) {
	if name == "" {
		return nil, errors.New("an empty path")
	}
	if strings.ContainsRune(name, 0) {
		return nil, &Mistake{Kind: PathWithNUL, Text: "contains a NUL byte"}
	}
	switch fi, err := os.Stat(name); {
	case err != nil:
		return nil, lines.Reason(err)
	case fi.IsDir():
		return nil, errors.New("is a directory; only files can be listed")
	case !fi.Mode().IsRegular():
		return nil, errors.New("is not a regular file; a file is read anew for each attempt, " +
			"which a pipe or device does not allow")
	default:
		return fi, nil
	}
}

// checkReadTwice wants a regular file because a manifest and results are read before anything is
// sent, and then to send.
func checkReadTwice(name string) error {
	switch fi, err := os.Stat(name); {
	case err != nil && name == "-":
		return errors.New("standard input is read once, and this is read before it and again: " +
			"save it in a file and name that")
	case err != nil:
		return lines.Reason(err)
	case !fi.Mode().IsRegular():
		return errors.New("not a regular file: it is read twice, to check it and then to send")
	}
	f, err := os.Open(name)
	if err != nil {
		return lines.Reason(err)
	}
	return f.Close()
}

// slashed returns name clean and with slashes on every system.
func slashed(name string) string { return path.Clean(filepath.ToSlash(name)) }
