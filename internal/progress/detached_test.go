package progress

import (
	"io"
	"strings"
	"testing"
	"testing/synctest"
)

// Output that nobody reads blocks no caller and costs bounded memory; once it is read, everything
// in memory comes in order.
func TestDetachedStoppedReader(t *testing.T) {
	for _, kind := range []string{"line", "json", "none"} {
		synctest.Test(t, func(t *testing.T) {
			out, in := io.Pipe()
			p := New(kind, in)
			d := Detach(p)
			line := strings.Repeat("x", 1<<10)
			const some = 100
			for range maxTalk>>10 + some {
				d.Log(line)
				d.Update(Snapshot{Total: 3})
			}
			if got := d.Lost(); got != some {
				t.Errorf("%s: %d lines were dropped, want %d", kind, got, some)
			}
			d.Close()
			go func() {
				d.Wait()
				d.Log("after the end")
				d.Wait()
				in.Close()
			}()
			text, err := io.ReadAll(out)
			if n := strings.Count(string(text), line); err != nil || n != maxTalk>>10 {
				t.Errorf("%s: %d lines were read, %v; want %d", kind, n, err, maxTalk>>10)
			}
			last := text[strings.LastIndexByte(strings.TrimSpace(string(text)), '\n')+1:]
			if !strings.Contains(string(last), "after the end") {
				t.Errorf("%s: the last line is %.100q", kind, last)
			}
		})
	}
}
