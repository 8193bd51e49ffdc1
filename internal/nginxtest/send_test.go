package nginxtest

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

var large = flag.Bool("large", false, "send 1,000 files where 60 do")

func files() int {
	if *large {
		return 1000
	}
	return 60
}

// stall is how long the machine may keep a process waiting before a test counts it as penstock's fault. Beside the tests of other
// packages it has to be more than in a run of this package alone, which is what -large is for.
func stall() time.Duration {
	if *large {
		return 100 * time.Millisecond
	}
	return 250 * time.Millisecond
}

// smallSizes are those of records and thumbnails, one of them empty.
func smallSizes(i int) int { return i * 199 % 16384 }

var binDir string

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(func() int {
		var err error
		if binDir, err = os.MkdirTemp("", "nginxtest"); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(binDir)
		return m.Run()
	}())
}

// penstock builds the command, once.
var penstock = sync.OnceValues(func() (string, error) {
	bin := filepath.Join(binDir, "penstock.exe")
	out, err := exec.Command("go", "build", "-buildvcs=false", "-o", bin, "github.com/penstock/penstock/cmd/penstock").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return bin, nil
})

// command returns `penstock send` with args.
func command(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	bin, err := penstock()
	if err != nil {
		t.Fatal(err)
	}
	return exec.CommandContext(t.Context(), bin, append([]string{"send", "--progress", "none"}, args...)...)
}

// send runs `penstock send` with args and fails the test unless it exits with want.
func send(t *testing.T, want int, args ...string) {
	t.Helper()
	cmd := command(t, args...)
	out, err := cmd.CombinedOutput()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	if got := cmd.ProcessState.ExitCode(); got != want {
		t.Fatalf("%s\nexit status %d, want %d", out, got, want)
	}
}

// stopped stops the server and returns its access log.
func stopped(t *testing.T, s *Server) []Request {
	t.Helper()
	s.Stop()
	log, err := s.Requests()
	if err != nil {
		t.Fatal(err)
	}
	return log
}

func count(log []Request, status int) int {
	n := 0
	for _, r := range log {
		if r.Status == status {
			n++
		}
	}
	return n
}

// Told the server's rate, penstock is never refused.
func TestPaceIsNeverRefused(t *testing.T) {
	s := Start(t, Config{Rate: 50, Burst: int(50 * stall().Seconds())})
	dir := writeFiles(t, files(), smallSizes)
	send(t, 0, "--rps", "50", "--to", s.URL+"/{name}", dir)
	checkStored(t, s, dir)
	log := stopped(t, s)
	if len(log) != files() || count(log, 429) != 0 {
		t.Errorf("%d requests, %d of them refused; want %d and none", len(log), count(log, 429), files())
	}
}

// Not told, it obeys what the server says, and all its workers do.
func TestRetryAfterHoldsEveryWorker(t *testing.T) {
	s := Start(t, Config{Rate: 50, Burst: 20, RetryAfter: "1"})
	dir := writeFiles(t, files(), smallSizes)
	send(t, 0, "--to", s.URL+"/{name}", dir)
	checkStored(t, s, dir)
	log := stopped(t, s)
	if count(log, 429) == 0 {
		t.Fatal("nothing was refused, so nothing was tested")
	}
	t.Logf("%d requests, %d refused, %v", len(log), count(log, 429), log[len(log)-1].Answered.Sub(log[0].Arrived))

	// A request that had left before the first 429 was read is nobody's fault.
	const clock = 3 * time.Millisecond // nginx's clock, twice
	last := time.Duration(0)
	for _, r := range log {
		for _, refused := range log {
			after := r.Arrived.Sub(refused.Answered)
			if refused.Status != 429 || after < 0 || after >= time.Second-clock {
				continue
			}
			if after > stall() {
				t.Errorf("%s was sent %v after %s was answered 429 with Retry-After: 1", r.URI, after, refused.URI)
			}
			last = max(last, after)
		}
	}
	t.Logf("the latest request in a pause came %v after its beginning", last)
}

// As many requests at a time as the server allows, and never one more.
func TestConcurrencyIsNeverRefused(t *testing.T) {
	s := Start(t, Config{Conns: 4})
	dir := writeFiles(t, files(), func(int) int { return 256 << 10 })
	send(t, 0, "--concurrency", "4", "--to", s.URL+"/{name}", dir)
	checkStored(t, s, dir)
	log := stopped(t, s)
	if len(log) != files() || count(log, 503) != 0 {
		t.Errorf("%d requests, %d of them refused; want %d and none", len(log), count(log, 503), files())
	}
}

func TestTLS(t *testing.T) {
	s := Start(t, Config{TLS: true})
	dir := writeFiles(t, 8, func(i int) int { return i * (1<<19 + 1) })
	send(t, 0, "--cacert", s.CACert, "--to", s.URL+"/{name}", dir)
	checkStored(t, s, dir)
}

// Without the CA nothing is sent, and the exit status says that it was not an item's fault.
func TestTLSUntrusted(t *testing.T) {
	s := Start(t, Config{TLS: true})
	send(t, 5, "--to", s.URL+"/{name}", writeFiles(t, 1, smallSizes))
	if log := stopped(t, s); len(log) != 0 {
		t.Errorf("%d requests reached a server that is not trusted", len(log))
	}
}

// Refused over and over, with bodies that do not fit any buffer: a body that is sent again is the whole body.
func TestRepeatedBodiesAreWhole(t *testing.T) {
	s := Start(t, Config{Conns: 2, RetryAfter: "1"})
	dir := writeFiles(t, 8, func(int) int { return 1 << 20 })
	send(t, 0, "--concurrency", "8", "--to", s.URL+"/{name}", dir)
	checkStored(t, s, dir)
	log := stopped(t, s)
	if count(log, 503) == 0 {
		t.Fatal("nothing was refused, so nothing was tested")
	}
	t.Logf("%d requests, %d refused", len(log), count(log, 503))
}

// However a run ends, what the server has is whole; the same command then delivers the rest.
func TestEndedRunLeavesNothingShort(t *testing.T) {
	for name, stop := range map[string]os.Signal{"killed": os.Kill, "interrupted": os.Interrupt} {
		t.Run(name, func(t *testing.T) {
			s := Start(t, Config{})
			dir := writeFiles(t, 16, func(int) int { return 1 << 20 })
			args := []string{"--to", s.URL + "/{name}", dir}

			cmd := command(t, append([]string{"--concurrency", "4", "--bandwidth", "8MiB/s"}, args...)...)
			var out bytes.Buffer
			cmd.Stdout, cmd.Stderr = &out, &out
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			ended := make(chan struct{})
			go func() { cmd.Wait(); close(ended) }()
			for checkNoneShort(t, s, dir) == 0 {
				select {
				case <-ended:
					t.Fatalf("it ended before anything was stored:\n%s", out.Bytes())
				case <-time.After(5 * time.Millisecond):
				}
			}
			if err := cmd.Process.Signal(stop); err != nil {
				t.Fatal(err)
			}
			<-ended
			if got, want := cmd.ProcessState.ExitCode(), 130; stop == os.Interrupt && got != want {
				t.Errorf("%s\nexit status %d, want %d", out.Bytes(), got, want)
			}
			stored := checkNoneShort(t, s, dir)
			if stored == 16 {
				t.Error("all was stored, so nothing was tested")
			}
			t.Logf("%d of 16 stored when it ended", stored)

			send(t, 0, args...)
			checkStored(t, s, dir)
		})
	}
}
