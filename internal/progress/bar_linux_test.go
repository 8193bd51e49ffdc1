package progress

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/penstock/penstock/internal/test"
)

// terminal opens a pseudo terminal of that width. What the returned func gives is all that was
// written to it, after closing it.
func terminal(t *testing.T, width uint16) (tty *os.File, written func() string) {
	t.Helper()
	ptmx, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("no pseudo terminals here: %v", err)
	}
	t.Cleanup(func() { ptmx.Close() })
	fd := int(ptmx.Fd())
	test.OK(t, unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0))
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	test.OK(t, err)
	tty, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no pseudo terminals here: %v", err)
	}
	test.OK(t, unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ,
		&unix.Winsize{Col: width, Row: 24}))
	var out bytes.Buffer
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = io.Copy(&out, ptmx) // ends with EIO when the other side is closed
	}()
	return tty, func() string {
		tty.Close()
		<-done
		return out.String()
	}
}

// onTerminal returns a sink of that kind on a terminal, which leaves no goroutine behind.
func onTerminal(t *testing.T, kind string, width uint16) (p Sink, written func() string) {
	t.Setenv("TERM", "xterm")
	tty, written := terminal(t, width)
	t.Cleanup(func() { goleak.VerifyNone(t) })
	return New(kind, tty), written
}

// screen replays what mpb writes: lines, "so many lines up", "clear to the end".
func screen(t *testing.T, out string) []string {
	t.Helper()
	var rows []string
	for out != "" {
		if rest, ok := strings.CutPrefix(out, "\x1b["); ok {
			var up int
			if _, err := fmt.Sscanf(rest, "%dA\x1b[J", &up); err != nil {
				t.Fatalf("unexpected sequence %q", out[:min(20, len(out))])
			}
			rows = rows[:len(rows)-up]
			out = rest[strings.Index(rest, "J")+1:]
			continue
		}
		row, rest, ok := strings.Cut(out, "\r\n")
		if !ok {
			t.Fatalf("the cursor is left behind %q", out)
		}
		rows, out = append(rows, strings.TrimPrefix(row, lineStart)), rest
	}
	return rows
}

func TestBarOnTerminal(t *testing.T) {
	p, written := onTerminal(t, "auto", 40)
	if _, ok := p.(*bar); !ok {
		t.Fatalf("a terminal gets %T", p)
	}
	const workers, each = 4, 25
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := range each {
				p.Update(Snapshot{Total: 1000, KnownTotal: true, Delivered: 7, InFlight: 3, Sent: 8,
					Holding: "held by your --rps 4", Limit: LimitRate})
				p.Log(fmt.Sprintf("talk %d/%d\x1b[2J", w, i))
			}
		})
	}
	wg.Wait()
	p.Close()
	p.Close()
	p.Update(Snapshot{})
	p.Log("talk after the end")
	rows := screen(t, written())
	if len(rows) != workers*each+2 {
		t.Fatalf("%d rows:\n%s", len(rows), strings.Join(rows, "\n"))
	}
	seen := map[string]bool{}
	for _, row := range rows[:workers*each] {
		var w, i int
		if _, err := fmt.Sscanf(row, "talk %d/%d?[2J", &w, &i); err != nil || seen[row] {
			t.Errorf("torn or doubled: %q", row)
		}
		seen[row] = true
	}
	if got := rows[workers*each]; got != "0 %  7/1,000 files" {
		t.Errorf("the line that stays is %q", got)
	}
	if got := rows[workers*each+1]; got != "talk after the end" {
		t.Errorf("the end is %q", got)
	}
}

// What a terminal shows when somebody types moves the cursor; nothing of the old lines stays.
func TestBarAfterEcho(t *testing.T) {
	p, written := onTerminal(t, "bar", 80)
	p.Update(Snapshot{Total: 10, KnownTotal: true, Delivered: 7, Holding: "held by your --rps 4"})
	p.Log("talk") // and the lines
	p.Close()
	out := written()
	for _, up := range strings.Split(out, "\x1b[J")[1:] {
		if up != "" && !strings.HasPrefix(up, "\r") {
			t.Errorf("drawn from where the cursor is: %q", up)
		}
	}
	if !strings.Contains(out, "\r[") {
		t.Errorf("no line begins at the left: %q", out)
	}
}

// A line of the log without a bar begins at the left, too: a terminal that shows ^C would wrap it.
func TestLogAfterEcho(t *testing.T) {
	p, written := onTerminal(t, "none", 20)
	p.Log("interrupted: ending after this")
	if got := written(); got != "\rinterrupted: ending\r\n  after this\r\n" {
		t.Errorf("%q", got)
	}
}

// Of a service nothing stays in the end but the log.
func TestServiceOnTerminal(t *testing.T) {
	t.Setenv("TERM", "xterm")
	tty, written := terminal(t, 40)
	t.Cleanup(func() { goleak.VerifyNone(t) })
	p := NewService(tty)
	p.Update(Snapshot{Delivered: 7, Holding: "held by your --rps 4"})
	p.Log("talk")
	p.Close()
	p.Log("talk after the end")
	rows := screen(t, written())
	if strings.Join(rows, "; ") != "talk; talk after the end" {
		t.Errorf("left on the screen: %q", rows)
	}
}

func TestBarWithoutUpdate(t *testing.T) {
	p, written := onTerminal(t, "bar", 80)
	p.Log("talk")
	p.Close()
	rows := screen(t, written())
	if len(rows) != 1 || rows[0] != "talk" {
		t.Errorf("left on the screen: %q", rows)
	}
}

func TestDumbTerminalGetsLines(t *testing.T) {
	t.Setenv("TERM", "dumb")
	tty, written := terminal(t, 80)
	for _, kind := range []string{"auto", "bar"} {
		p := New(kind, tty)
		if _, ok := p.(*lines); !ok {
			t.Errorf("%s gives %T", kind, p)
		}
		p.Close()
	}
	written()
}
