package outbox

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/race"
	"github.com/penstock/penstock/internal/test"
)

var rounds = flag.Int("rounds", 3, "how many times a process that uses a store is killed")

// bodyFor returns a body that can be told from its URI; a few are large.
func bodyFor(uri string) string {
	h := fnv.New64a()
	h.Write([]byte(uri))
	r := rand.New(rand.NewPCG(h.Sum64(), 0))
	size := r.IntN(8 << 10)
	if r.IntN(20) == 0 {
		size = maxInRow + r.IntN(maxInRow)
	}
	return strings.Repeat(uri+"\n", size/(len(uri)+1)+1)
}

// workUntilKilled puts and delivers requests, and prints a line when that is to last: what was
// done, and the ID.
func workUntilKilled(dir string) {
	s, err := Open(context.Background(), Options{Dir: dir})
	if err != nil {
		panic(err)
	}
	must := func(err error) {
		if err != nil {
			panic(err)
		}
	}
	say := func(what, id string) { os.Stdout.WriteString(what + " " + id + "\n") }
	fmt.Println("open")
	for worker := range 8 {
		go func() {
			for n := 0; ; n++ {
				r := request(strconv.Itoa(worker))
				r.URI = fmt.Sprintf("/%d/%d/%d", os.Getpid(), worker, n)
				e, err := s.Put(r, strings.NewReader(bodyFor(r.URI)))
				must(err)
				say("put", e.ID)
			}
		}()
	}
	for worker := range 4 {
		go func() {
			r := rand.New(rand.NewPCG(uint64(os.Getpid()), uint64(worker)))
			for {
				list, _, err := s.Next("api", 1+r.IntN(4))
				must(err)
				for _, e := range list {
					must(s.Begin(e.ID, true))
					say("begun", e.ID)
					state := []State{Waiting, Delivered, Delivered, Failed}[r.IntN(4)]
					must(s.Finish(e.ID, Outcome{State: state, Attempts: 1}))
					say(string(state), e.ID)
				}
			}
		}()
	}
	select {}
}

// Whatever instant a process is killed at, all that Put has returned for is there after a restart,
// with its body, and all that Begin and Finish have.
func TestKill(t *testing.T) {
	dir := newDir(t)
	known := map[string][]string{} // what was said of each request
	for round := range *rounds {
		killOne(t, dir, known)
		checkAll(t, dir, known)
		if t.Failed() {
			t.Fatalf("in round %d", round)
		}
	}
	t.Logf("%d requests", len(known))
}

// killOne runs a process for a while, and notes what it says.
func killOne(t *testing.T, dir string, known map[string][]string) {
	cmd := child("work", dir)
	out, err := cmd.StdoutPipe()
	test.OK(t, err)
	test.OK(t, cmd.Start())
	lines := bufio.NewReader(out)
	if line, err := lines.ReadString('\n'); line != "open\n" {
		cmd.Wait()
		t.Fatalf("it says %q, %v", line, err)
	}
	var group sync.WaitGroup
	group.Go(func() {
		time.Sleep(time.Duration(rand.IntN(300)) * time.Millisecond)
		cmd.Process.Kill()
	})
	for {
		line, err := lines.ReadString('\n')
		if err == io.EOF { // an unfinished line was not said
			break
		}
		test.OK(t, err)
		what, id, _ := strings.Cut(strings.TrimSpace(line), " ")
		if known[id] = append(known[id], what); what == "put" { // others may be told sooner
			known[id] = slices.Insert(known[id][:len(known[id])-1], 0, what)
		}
	}
	group.Wait()
	cmd.Wait()
}

// checkAll opens the store and checks that it has what was said.
func checkAll(t *testing.T, dir string, known map[string][]string) {
	s := mustOpen(t, Options{Dir: dir})
	inFiles := 0
	for e, err := range s.List(Filter{}) {
		test.OK(t, err)
		if e.inFile {
			inFiles++
		}
		if e.State == Delivered {
			continue
		}
		if got := mustRead(t, s, e.ID); got != bodyFor(e.URI) {
			t.Errorf("%s: another body", e.URI)
		}
	}
	if n := len(files(t, dir)); n != inFiles {
		t.Errorf("%d files, want %d", n, inFiles)
	}
	for id, said := range known {
		e, err := s.Get(id)
		if err != nil {
			t.Errorf("%s was lost: %v", id, err)
			continue
		}
		may := []State{State(said[len(said)-1])}
		switch may[0] {
		case "put", Waiting: // and it may have been begun since, and finished
			may = States
		case "begun": // and it may have been finished
			may = []State{Unknown, Waiting, Delivered, Failed}
		}
		if !slices.Contains(may, e.State) {
			t.Errorf("%s is %s, but it was said: %v", id, e.State, said)
		}
	}
	test.OK(t, s.Close())
}

// memoryGoal is how much a process may need that has 100,000 requests.
const memoryGoal = 64 << 20

// fill puts 100,000 requests, takes and puts back some, and prints how much memory that took.
func fill(dir string) {
	s, err := Open(context.Background(), Options{Dir: dir})
	if err != nil {
		panic(err)
	}
	var group sync.WaitGroup
	for worker := range 100 {
		group.Go(func() {
			for range 1000 {
				_, err := s.Put(request(strconv.Itoa(worker)), strings.NewReader("body"))
				if err != nil {
					panic(err)
				}
			}
		})
	}
	group.Wait()
	for range 10 {
		list, _, err := s.Next("api", 256)
		if err != nil || len(list) != 256 {
			panic(fmt.Sprint(len(list), err))
		}
		for _, e := range list {
			if _, err := s.Body(e.ID); err != nil {
				panic(err)
			}
		}
	}
	if err := s.Close(); err != nil {
		panic(err)
	}
	s, err = Open(context.Background(), Options{Dir: dir})
	if err != nil {
		panic(err)
	}
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	data, _ := os.ReadFile("/proc/self/status")
	_, peak, _ := strings.Cut(string(data), "VmHWM:")
	peak, _, _ = strings.Cut(strings.TrimSpace(peak), " ")
	fmt.Println(s.Stats().Waiting, peak, m.HeapAlloc>>10)
	s.Close()
}

func TestMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("a hundred thousand requests")
	}
	out, err := child("fill", newDir(t)).Output()
	test.OK(t, err)
	var waiting, peak, heap int
	if _, err := fmt.Sscan(string(out), &waiting, &peak, &heap); err != nil {
		t.Skipf("%q: %v", out, err)
	}
	t.Logf("%d KiB at most; %d KiB of heap", peak, heap)
	if waiting != 100_000 || !race.Enabled && peak<<10 > memoryGoal {
		t.Errorf("%d requests take %d KiB", waiting, peak)
	}
}
