package journal

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/internal/test"
)

func TestTwoInOneProcess(t *testing.T) {
	path := newPath(t)
	j := mustOpen(t, path)
	_, err := Open(t.Context(), Options{Path: path})
	var inUse *InUseError
	if !errors.As(err, &inUse) || inUse.PID != os.Getpid() ||
		time.Since(inUse.Since).Abs() > time.Minute {
		t.Errorf("%v: %+v", err, inUse)
	}
	var fault *Error
	if errors.As(err, &fault) {
		t.Error("it is no local fault")
	}
	if want := fmt.Sprintf("(process %d, since ", os.Getpid()); !strings.Contains(err.Error(),
		want) || !strings.Contains(err.Error(), path) {
		t.Error(err)
	}
	if _, err := Forget(path, everything); !errors.As(err, &inUse) {
		t.Errorf("Forget: %v", err)
	}
	mustClose(t, j)
	mustClose(t, mustOpen(t, path))
}

func TestWait(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		path := dir + "/j.db"
		j := mustOpen(t, path)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		before := time.Now()
		_, err := Open(ctx, Options{Path: path, Wait: true})
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(before) != time.Minute {
			t.Errorf("%v after %v", err, time.Since(before))
		}
		time.AfterFunc(time.Hour, func() { j.Close(0) })
		before = time.Now()
		second, err := Open(t.Context(), Options{Path: path, Wait: true})
		test.OK(t, err)
		if d := time.Since(before); d < time.Hour || d > time.Hour+time.Second {
			t.Errorf("waited %v", d)
		}
		second.Close(0)
	})
}

// hold is a run in another process, which says that it has begun and waits to be killed.
func hold(path string) {
	j, err := Open(context.Background(), Options{Path: path})
	if err != nil {
		fmt.Println(err)
		return
	}
	done := make(chan error)
	j.Put(Item{ID: 1, State: item.Delivered}, func(err error) { done <- err })
	fmt.Println("put", <-done)
	time.Sleep(time.Hour) // select {} would be a deadlock to a program without cgo
}

// startHolder returns when the other process has put a row.
func startHolder(t *testing.T, path string) *exec.Cmd {
	cmd := child(t, "hold", path)
	out, err := cmd.StdoutPipe()
	test.OK(t, err)
	test.OK(t, cmd.Start())
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "put <nil>\n" {
		t.Fatal(line, err)
	}
	return cmd
}

// [one run] Two processes cannot have one journal at the same time.
func TestOtherProcess(t *testing.T) {
	path := newPath(t)
	other := startHolder(t, path)
	_, err := Open(t.Context(), Options{Path: path})
	var inUse *InUseError
	if !errors.As(err, &inUse) || inUse.PID != other.Process.Pid {
		t.Errorf("%v: %+v", err, inUse)
	}
	// It can be read meanwhile.
	r := mustRead(t, path)
	info, err := r.Info()
	if err != nil || !info.Running || info.Killed || info.Counts[item.Delivered] != 1 {
		t.Errorf("%+v, %v", info, err)
	}
	r.Close()
	if tool, err := exec.LookPath("sqlite3"); err == nil {
		out, err := exec.Command(tool, path, "SELECT state, id FROM items").CombinedOutput()
		if err != nil || string(out) != "delivered|"+fmt.Sprintf("%016x", 1)+"\n" {
			t.Errorf("sqlite3: %s, %v", out, err)
		}
	}
	// The kernel gives up the lock of the dead.
	other.Process.Kill()
	other.Wait()
	r = mustRead(t, path)
	if info, err := r.Info(); err != nil || info.Running || !info.Killed {
		t.Errorf("%+v, %v", info, err)
	}
	r.Close()
	j := mustOpen(t, path)
	if e := j.Earlier(); !e.Killed || e.Counts[item.Delivered] != 1 {
		t.Errorf("%+v", e)
	}
}

// putUntilKilled puts rows and says of each that it is on disk.
func putUntilKilled(path string) {
	j, err := Open(context.Background(), Options{Path: path})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	start := uint64(j.Earlier().Counts[item.Delivered] + j.Earlier().Counts[item.InFlight])
	for g := range uint64(8) {
		go func() {
			for id := start + g; ; id += 8 {
				ack := func(err error) { os.Stdout.WriteString(fmt.Sprintln(id, err)) }
				if id%16 == g {
					ack(j.Begin(context.Background(),
						Item{ID: id, Path: strings.Repeat("p", int(id%500))}))
				} else {
					j.Put(Item{ID: id, State: item.Delivered,
						Path: strings.Repeat("p", int(id%500))}, ack)
				}
			}
		}()
	}
	select {}
}

// A process that is killed at any moment has lost nothing that it was told is on disk.
func TestKill(t *testing.T) {
	path := newPath(t)
	acked := map[uint64]bool{}
	for round := range 6 {
		cmd := child(t, "put", path)
		out, err := cmd.StdoutPipe()
		test.OK(t, err)
		test.OK(t, cmd.Start())
		lines := bufio.NewScanner(out)
		for n := 0; lines.Scan(); n++ {
			if n == 1+round*round*97 {
				cmd.Process.Kill()
			}
			id, failure, ok := strings.Cut(lines.Text(), " ")
			v, err := strconv.ParseUint(id, 10, 64)
			if !ok || err != nil || failure != "<nil>" {
				t.Errorf("round %d: %q", round, lines.Text())
				continue
			}
			acked[v] = true
		}
		cmd.Wait()
		j := mustOpen(t, path)
		if e := j.Earlier(); !e.Killed || e.Runs != round+1 {
			t.Errorf("round %d: %+v", round, e)
		}
		for id := range acked {
			if c := j.Peek(id, Fingerprint{}); c.State != item.Delivered &&
				c.State != item.InFlight {
				t.Fatalf("round %d: %d was on disk and is %v", round, id, c.State)
			}
		}
		var ok string
		if err := j.conn.QueryRowContext(t.Context(),
			"PRAGMA integrity_check").Scan(&ok); err != nil || ok != "ok" {
			t.Fatalf("round %d: integrity: %s, %v", round, ok, err)
		}
		mustClose(t, j)
	}
	if len(acked) < 100 {
		t.Errorf("only %d rows", len(acked))
	}
}
