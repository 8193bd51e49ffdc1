// Package memdir keeps the temporary files of tests in memory. Tests that write journals would
// spend most of their time waiting for the disk.
package memdir

import "os"

// Tests are those of a package: a [testing.M].
type Tests interface{ Run() int }

// For returns tests whose temporary files are in memory, where there is enough of it for files.
func For(m Tests) Tests { return inMemory{m} }

type inMemory struct{ Tests }

func (m inMemory) Run() int {
	parent := memory()
	if parent == "" {
		return m.Tests.Run()
	}
	dir, err := os.MkdirTemp(parent, "penstock-test")
	if err != nil {
		return m.Tests.Run()
	}
	defer os.RemoveAll(dir)
	if err := os.Setenv("TMPDIR", dir); err != nil {
		panic(err)
	}
	return m.Tests.Run()
}
