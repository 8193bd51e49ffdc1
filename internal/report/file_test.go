package report

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/progress"
	"github.com/penstock/penstock/internal/test"
)

func TestWriteJSON(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "report.json")
	test.OK(t, os.WriteFile(path, []byte("old"), 0o644))
	if err := WriteJSON(path, smooth()); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	test.OK(t, err)
	var s Summary
	if err := json.Unmarshal(data, &s); err != nil || s.Items.Delivered != 60 ||
		s.Rate.Ceiling != 4 {
		t.Errorf("read back %+v, %v", s, err)
	}
	info, err := os.Stat(path)
	test.OK(t, err)
	if runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, want 0600", info.Mode())
	}
	onlyFile(t, dir)
}

func TestWriteJSONFails(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "report.json")
	test.OK(t, os.WriteFile(path, []byte("old"), 0o600))
	s := smooth()
	s.Lab = func() {} // cannot be encoded
	if err := WriteJSON(path, s); err == nil || !strings.HasPrefix(err.Error(), "report: ") {
		t.Errorf("got error %v", err)
	}
	if data, _ := os.ReadFile(path); string(data) != "old" {
		t.Errorf("the old report became %q", data)
	}
	onlyFile(t, dir)
	if err := WriteJSON(filepath.Join(dir, "none", "report.json"), smooth()); err == nil {
		t.Error("no error in a directory that is not there")
	}
	if err := WriteJSON(dir, smooth()); err == nil {
		t.Error("no error for a directory")
	}
}

func TestWriteJSONToDevice(t *testing.T) {
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip("no /dev/full here")
	}
	if err := WriteJSON("/dev/full", smooth()); err == nil {
		t.Error("no error from a full device")
	}
	if info, err := os.Stat("/dev/full"); err != nil || info.Mode()&fs.ModeDevice == 0 {
		t.Errorf("the device was replaced: %v %v", info.Mode(), err)
	}
}

func onlyFile(t *testing.T, dir string) {
	t.Helper()
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("left behind: %v %v", entries, err)
	}
}

// A report goes where a link leads, and over a file in a directory that takes no other.
func TestWriteJSONKeepsLink(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := errors.Join(os.WriteFile("r", nil, 0o644), os.Symlink("r", "link")); err != nil {
		t.Skip(err)
	}
	long := strings.Repeat("x", 250) // which leaves no room for that of a new file beside it
	old := []byte("{\n  \"schema_version\": 1, and much more than is written over it")
	if err := os.WriteFile(long, old, 0o644); err != nil {
		t.Skip(err)
	}
	for _, name := range []string{"link", long} {
		test.OK(t, errors.Join(CheckJSON(name), WriteJSON(name, Summary{})))
		if text, err := os.ReadFile(name); err != nil || !json.Valid(text) {
			t.Errorf("%.10s: %q", name, text)
		}
	}
	if to, err := os.Readlink("link"); err != nil || to != "r" {
		t.Errorf("the link leads to %q: %v", to, err)
	}
}

func TestRowsHaveALineEach(t *testing.T) {
	var b strings.Builder
	s := Summary{To: "[ 1,\n 2 ]", Timeline: new(progress.Timeline)}
	s.Timeline.Add(&progress.Snapshot{Elapsed: 2 * time.Second, Sent: 3})
	test.OK(t, s.EncodeJSON(&b))
	if text := b.String(); !strings.Contains(text, "\n      [1,3,0,0,null,null,0,0,0]\n") ||
		!strings.Contains(text, `"to": "[ 1,\n 2 ]"`) {
		t.Errorf("%s", text)
	}
}

// What the user gave by mistake stays as it is.
func TestReportOverDataFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "data.csv")
	test.OK(t, os.WriteFile(file, []byte("id,value\n"), 0o600))
	if err := CheckJSON(file); err == nil ||
		!strings.Contains(err.Error(), "was not written by penstock") {
		t.Errorf("over data: %v", err)
	}
	test.OK(t, WriteJSON(file, Summary{}))
	if err := CheckJSON(file); err != nil {
		t.Errorf("over a report: %v", err)
	}
}
