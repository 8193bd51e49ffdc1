// Package statedir says where journals are: the directory of a user's state, the name of a
// journal's file there, and whether what is in the directory will last. It reads no journal.
package statedir

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"unicode/utf8"
)

// A NoDirError reports that this system names no directory for journals.
type NoDirError struct{ Err error }

// Error returns one line.
func (e *NoDirError) Error() string { return "no directory for journals: " + e.Err.Error() }

// Unwrap returns Err.
func (e *NoDirError) Unwrap() error { return e.Err }

// Dir returns the directory for journals: PENSTOCK_STATE, the first of systemd's STATE_DIRECTORY,
// penstock below XDG_STATE_HOME, or the platform's own: ~/.local/state/penstock,
// ~/Library/Application Support/penstock on macOS, %LocalAppData%\penstock on Windows. It does not
// make it.
func Dir() (string, error) {
	if d := os.Getenv("PENSTOCK_STATE"); d != "" {
		return d, nil
	}
	first, _, _ := strings.Cut(os.Getenv("STATE_DIRECTORY"), ":")
	if first != "" && runtime.GOOS != "windows" {
		return first, nil
	}
	if d := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(d) {
		return filepath.Join(d, "penstock"), nil
	}
	if runtime.GOOS == "windows" {
		if d := os.Getenv("LocalAppData"); d != "" {
			return filepath.Join(d, "penstock"), nil
		}
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", &NoDirError{err}
	}
	switch runtime.GOOS {
	case "darwin", "ios":
		return filepath.Join(home, "Library", "Application Support", "penstock"), nil
	case "windows":
		return filepath.Join(home, "AppData", "Local", "penstock"), nil
	}
	return filepath.Join(home, ".local", "state", "penstock"), nil
}

// FileName returns the name of the journal's file for a job, or where job is empty for a method and
// a target: a URL or its template, or the path of a manifest that has all URLs. A job's name is at
// most 64 letters, digits, dots, underscores and hyphens, and begins with none of the latter.
//
// The name has a hash of the target in it, and is shown: the target must not hold secrets.
func FileName(job, target, method string) (string, error) {
	if job != "" {
		name := strings.TrimSuffix(job, Suffix)
		strange := strings.TrimFunc(name, nameRune)
		switch r, _ := utf8.DecodeRuneInString(strange); {
		case strings.Trim(name, ".") == "":
			return "", fmt.Errorf("job %q: a name needs a letter or a digit", job)
		case len(name) > 64:
			return "", fmt.Errorf("job %q: a name has at most 64 characters, this has %d",
				job, len(name))
		case name[0] == '-':
			return "", fmt.Errorf("job %q: a name that begins with a hyphen looks like a flag", job)
		case strange != "":
			return "", fmt.Errorf("job %q: a name has letters, digits, '.', '_' and '-', not %q",
				job, r)
		}
		return name + Suffix, nil
	}
	host := "manifest-" + filepath.Base(target)
	if _, rest, found := strings.Cut(target, "://"); found {
		host = "target" // a template need not parse, and then it is unknown where a password ends
		if u, err := url.Parse(target); err == nil && u.Host != "" {
			host = u.Host
		} else if !strings.Contains(rest, "@") {
			host, _, _ = strings.Cut(rest, "/")
		}
	}
	host = cmp.Or(readable(host, 48), "target") // of a name in another script nothing is left
	sum := sha256.Sum256([]byte(method + " " + target))
	return fmt.Sprintf("%s-%s-%x%s", host, readable(method, 16), sum[:4], Suffix), nil
}

// readable makes s a part of a file's name.
func readable(s string, length int) string {
	s = strings.Map(func(r rune) rune {
		if nameRune(r) {
			return r
		}
		return '-'
	}, s)
	return strings.Trim(s[:min(len(s), length)], ".-")
}

func nameRune(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' ||
		r == '.' || r == '_' || r == '-'
}

// Transient says why what is in dir will not last, or "" if nothing speaks against it. Dir need not
// be there yet.
func Transient(dir string) string {
	return transient(FileSystem(dir), inContainer())
}

func transient(fs string, container bool) string {
	switch {
	case container && (fs == "overlay" || fs == "aufs"):
		return "it is inside the container and is lost with it"
	case container && (fs == "tmpfs" || fs == "ramfs"):
		return "it is in memory (" + fs + ") and is lost with the container"
	case fs == "tmpfs" || fs == "ramfs":
		return "it is in memory (" + fs + ") and is lost when the machine restarts"
	}
	return ""
}

func inContainer() bool {
	for _, name := range []string{"/.dockerenv", "/run/.containerenv"} {
		if _, err := os.Stat(name); err == nil {
			return true
		}
	}
	return os.Getenv("KUBERNETES_SERVICE_HOST") != "" || os.Getenv("container") != ""
}

// NetworkFS returns the name of the network file system that dir is on, or "".
func NetworkFS(dir string) string {
	fs := FileSystem(dir)
	if networkFileSystems[fs] {
		return fs
	}
	return ""
}

var networkFileSystems = map[string]bool{
	"9p": true, "afs": true, "ceph": true, "cifs": true, "coda": true, "gpfs": true, "lustre": true,
	"ncp": true, "nfs": true, "smb": true, "virtiofs": true,
	"fuse.sshfs": true, "fuse.rclone": true, "fuse.s3fs": true, "fuse.gcsfuse": true,
	"fuse.goofys": true, "fuse.mount-s3": true, "fuse.glusterfs": true, "fuse.blobfuse": true,
	"fuse.blobfuse2": true, "fuse.davfs": true, "fuse.curlftpfs": true, "fuse.juicefs": true,
}
