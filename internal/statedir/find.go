package statedir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Suffix is that of the names of journals' files.
const Suffix = ".db"

// A NotFoundError says that no journal has a name.
type NotFoundError struct {
	Name, Dir string
	Known     []string // the names that there are
}

func (e *NotFoundError) Error() string {
	return fmt.Sprintf("there is no journal %q in %s", e.Name, e.Dir)
}

// Find returns the path of a journal that is named as such, with or without the suffix of its file,
// or by its file. Dir is where named journals are; if empty, there are none.
func Find(dir, name string) (path string, err error) {
	names, _ := Names(dir)
	known := Name(name)
	elsewhere := filepath.Base(name) != name
	if !elsewhere && slices.Contains(names, known) {
		return filepath.Join(dir, known+Suffix), nil
	}
	switch info, err := os.Stat(name); {
	case err == nil && !info.Mode().IsRegular():
		return "", fmt.Errorf("%s is not a file; see penstock journal list", name)
	case err == nil:
		return name, nil
	case !errors.Is(err, fs.ErrNotExist):
		return "", err
	case elsewhere:
		return "", fmt.Errorf("there is no file %s", name)
	}
	return "", &NotFoundError{name, dir, names}
}

// Names returns the names of the journals in a directory, without a look at them. Where there is no
// directory there are none.
func Names(dir string) (names []string, err error) {
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		if name, ok := strings.CutSuffix(e.Name(), Suffix); ok && !e.IsDir() {
			names = append(names, name)
		}
	}
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return names, err
}

// Name returns the name of a journal at path.
func Name(path string) string { return strings.TrimSuffix(filepath.Base(path), Suffix) }
