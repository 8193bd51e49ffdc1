package send

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/exit"
	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/internal/lab"
	"github.com/penstock/penstock/internal/report"
)

var (
	chaosTime = flag.Duration("chaos", 0,
		"for how long TestChaos begins new rounds (default a few that are the same each day); "+
			"go test itself ends after -timeout, 10m")
	chaosSeed = flag.Uint64("chaos-seed", 0, "the only round of TestChaos")
)

// [exit] [nothing lost] Whatever happens on the way, nothing is lost and nothing is claimed: random
// files are sent to a random server that fails at random, by the real command, which is killed at
// random moments and started again until it is done. The server's record is the judge.
//
//	go test -run Chaos ./internal/send -v -chaos 10m
//	go test -run Chaos ./internal/send -v -chaos-seed N
func TestChaos(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes seconds")
	}
	bin := buildPenstock(t)
	seed, rounds, workers := uint64(42), 9, 2*runtime.GOMAXPROCS(0)
	end := time.Now().Add(*chaosTime)
	switch deadline, ok := t.Deadline(); {
	case *chaosSeed > 0:
		seed, rounds, workers = *chaosSeed, 1, 1
	case *chaosTime > 0:
		seed, rounds = uint64(time.Now().UnixMilli()), 0
		if ok && end.After(deadline.Add(-time.Minute)) {
			end = deadline.Add(-time.Minute)
		}
	}

	var all sync.WaitGroup
	var mu sync.Mutex // protects what follows
	var sum struct {
		rounds, runs, kills, files, maxInFlight, failed int
		twice, unheard                                  int64
	}
	for range workers {
		all.Go(func() {
			for {
				mu.Lock()
				if rounds > 0 && sum.rounds == rounds || rounds == 0 && time.Now().After(end) ||
					sum.failed >= 5 {
					mu.Unlock()
					return
				}
				r := &round{seed: seed, bin: bin,
					dir: filepath.Join(t.TempDir(), fmt.Sprint("round-", seed))}
				seed++
				sum.rounds++
				mu.Unlock()

				begin := time.Now()
				err := r.play(t.Context())
				line := fmt.Sprintf("-chaos-seed %d: %.1f s, %d runs, %d of them killed: %v",
					r.seed, time.Since(begin).Seconds(), r.runs, r.kills, r)
				mu.Lock()
				sum.runs, sum.kills, sum.files = sum.runs+r.runs, sum.kills+r.kills,
					sum.files+len(r.files)
				sum.twice, sum.unheard = sum.twice+r.twice, sum.unheard+r.unheard
				sum.maxInFlight = max(sum.maxInFlight, r.maxInFlight)
				switch {
				case err != nil:
					sum.failed++
					t.Errorf("%s\n%v\n%s", line, err, r.last())
				case len(r.findings) > 0:
					sum.failed++
					t.Errorf("%s\n%s\n%s", line, strings.Join(r.findings, "\n"), r.last())
				default:
					t.Log(line)
					os.RemoveAll(r.dir)
				}
				mu.Unlock()
			}
		})
	}
	all.Wait()
	t.Logf("%d rounds, %d runs, %d of them killed, %d files; %d bodies accepted once more, at "+
		"most %d in flight, %d answers hid an acceptance",
		sum.rounds, sum.runs, sum.kills, sum.files, sum.twice, sum.maxInFlight, sum.unheard)
}

// A round is a trial of the real command.
type round struct {
	trial
	seed     uint64
	bin, dir string
	rnd      *rand.Rand

	template string   // below the server's address
	args     []string // of the command
	server   string   // as it is shown
	lab      *labProcess
	own      *moody

	change   bool         // files may change or be added between runs
	results  bool         // are written
	digest   bool         // files are known by their content
	manifest bool         // names the files, and their keys
	rivals   bool         // may run at the same time
	spoiled  bool         // what the last run wrote is not all its own
	doubtful []*chaosFile // after the last run whose journal was looked at
	claims   []claim
	report   report.Summary
	said     []string // how each run ended
	twice    int64
}

// A claim is a line of the results that is not yet judged.
type claim struct {
	file   *chaosFile
	status item.Fate
	where  string
}

func (r *round) String() string {
	return fmt.Sprintf("%d files by %v to %s; penstock %s", len(r.files), r.way, r.server,
		strings.Join(r.args, " "))
}

// last is how the last runs went.
func (r *round) last() string { return strings.Join(r.said[max(0, len(r.said)-4):], "\n") }

func (r *round) odds(p float64) bool { return r.rnd.Float64() < p }

// pick returns a number from least to most, small ones more often.
func (r *round) pick(least, most float64) float64 {
	return least * math.Pow(most/least, r.rnd.Float64())
}

func (r *round) duration(least, most time.Duration) time.Duration {
	return time.Duration(r.pick(float64(least), float64(most))).Round(time.Millisecond)
}

// play plays the round. It returns an error if it could not be played.
func (r *round) play(ctx context.Context) error {
	r.rnd = rand.New(rand.NewPCG(r.seed, 0))
	r.record = map[string]*stored{}
	if err := r.plan(); err != nil {
		return err
	}
	defer func() {
		if r.own != nil {
			r.own.close()
		}
		if r.lab != nil {
			r.lab.kill()
		}
	}()
	again := 0
	for stops := r.rnd.IntN(6); ; stops-- {
		ended, err := r.send(ctx, stops > 0)
		if err != nil {
			return err
		}
		if err := r.look(ctx, false); err != nil {
			return err
		}
		if len(r.findings) > 0 {
			return nil
		}
		done := ended && r.done()
		if done && (stops <= 0 || !r.change) {
			break
		}
		if stops <= 0 && !done {
			if again++; again > 10 {
				r.find("it is not done after run %d", r.runs)
				return nil
			}
		}
		if r.change && stops > 0 && (done || r.odds(0.4)) {
			if err := r.alter(ctx); err != nil {
				return err
			}
		}
	}
	if err := r.look(ctx, true); err != nil {
		return err
	}
	if err := r.ends(); err != nil {
		return err
	}
	r.twice = r.judge()
	return nil
}

// plan thinks of files, a server and a command.
func (r *round) plan() error {
	if err := os.MkdirAll(filepath.Join(r.dir, "data"), 0o700); err != nil {
		return err
	}
	r.way = sending(r.rnd.IntN(3))
	r.honour = r.way == byKey && r.odds(0.7)
	r.change, r.rivals = r.odds(0.7), r.odds(0.2)
	templates := []string{"/up/{path}", "/{name}", "/f?name={path}"}
	r.template = templates[r.rnd.IntN(len(templates))]

	args := []string{"send", "--progress", "none", "--report", "report.json"}
	flag := func(p float64, name string, value ...any) bool {
		if !r.odds(p) {
			return false
		}
		if len(value) > 0 {
			name += "=" + fmt.Sprint(value[0])
		}
		args = append(args, name)
		return true
	}
	method := "POST"
	if r.way == byPut {
		method = "PUT"
	}
	args = append(args, "--method="+method)
	header := "Idempotency-Key"
	own := r.odds(0.5)
	if r.way == byKey {
		if own && r.odds(0.3) {
			header = "X-Request-Key"
			args = append(args, "--idempotent="+header)
		} else {
			args = append(args, "--idempotent")
		}
		flag(0.3, "--key-format=bare")
	}
	r.results = flag(0.7, "--results", "results.ndjson")
	flag(0.4, "--rps", int(r.pick(20, 400)))
	if limit := int(r.pick(1, 80)); flag(0.4, "--concurrency", limit) {
		r.limit = limit
	}
	flag(0.1, "--workers", int(r.pick(1, 40)))
	flag(0.1, "--verbose")
	verify := 0.3
	if r.way == byTrust {
		verify = 0.05 // it waits half a minute before it asks
	}
	flag(verify, "--verify")
	r.digest = flag(0.3, "--digest")
	if !flag(0.2, "--job", "night") {
		flag(0.1, "--journal", filepath.Join("state", "own.db"))
	}
	r.keep = r.way == byPut && flag(0.2, "--no-overwrite")
	form := own && flag(0.3, "--form", "file")
	flag(1, "--stall-timeout", r.duration(300*time.Millisecond, 2*time.Second))

	var err error
	switch {
	case own:
		if r.own, err = newMoody(r.seed); err != nil {
			return err
		}
		m := r.own
		m.share = r.pick(0.01, 0.3)
		m.latency = time.Duration(r.pick(float64(100*time.Microsecond),
			float64(100*time.Millisecond))).Round(100 * time.Microsecond)
		m.faults = slices.Concat(safeFaults, unsafeFaults)
		m.form, m.digest, m.honour = form, r.digest, r.honour
		if r.way == byKey {
			m.header = header
		}
		if r.way != byPut && r.odds(0.2) {
			r.template, r.oneName = "/inbox", true
			// nothing there to ask about
			args = slices.DeleteFunc(args, func(arg string) bool { return arg == "--verify" })
		}
		m.once = r.way == byTrust && !r.oneName
		r.server = fmt.Sprintf("a server with %.3g faults that takes %v", m.share, m.latency)
		args = append(args, "--to="+m.url+r.template)
	default:
		params := r.labParams()
		if r.honour {
			params = append(params, "--keys=honour")
		}
		if r.lab, err = startLab(r.bin, params...); err != nil {
			return err
		}
		r.server = "lab " + strings.Join(params, " ")
		args = append(args, "--to="+r.lab.url+r.template)
	}
	if r.args = append(args, "data"); r.way == byKey && r.odds(0.2) {
		r.manifest, r.args = true, append(args, "--manifest="+path.Join("data", manifestName))
	}
	for range int(r.pick(3, 500)) {
		if err := r.add(); err != nil {
			return err
		}
	}
	return nil
}

func (r *round) labParams() []string {
	if r.odds(0.3) {
		mode := []string{"refuse", "hang", "503"}[r.rnd.IntN(3)]
		return []string{"down", "--mode=" + mode,
			fmt.Sprint("--after=", r.duration(50*time.Millisecond, time.Second)),
			fmt.Sprint("--for=", r.duration(100*time.Millisecond, 2*time.Second))}
	}
	params := []string{"flaky", fmt.Sprint("--seed=", r.rnd.IntN(1e6)),
		fmt.Sprint("--stall=", r.duration(50*time.Millisecond, 5*time.Second))}
	share := r.pick(0.01, 0.4)
	for _, fault := range labFaults {
		p := share * r.rnd.Float64() / 3
		if fault == "409" && r.way != byKey { // else it fails the file, as it should
			p = 0
		}
		if share -= p; share > 0 {
			params = append(params, fmt.Sprintf("--%s=%.3f", fault, p))
		}
	}
	return params
}

// add makes a file.
func (r *round) add() error {
	var name string
	for range r.rnd.IntN(4) {
		name = path.Join(name, r.word())
	}
	f := &chaosFile{path: path.Join("data", name,
		fmt.Sprintf("%s%d%s", r.word(), len(r.files),
			[]string{"", ".json", ".tar.gz", ".Ü"}[r.rnd.IntN(4)]))}
	rel := strings.TrimPrefix(f.path, "data/")
	where := strings.NewReplacer("/{path}", "/"+strings.ReplaceAll(escaped(rel), "%2F", "/"),
		"{path}", escaped(rel),
		"{name}", escaped(path.Base(rel))).Replace(r.template)
	u, err := url.Parse("http://127.0.0.1" + where)
	if err != nil {
		return err
	}
	f.name = lab.Name(u)
	r.files = append(r.files, f)
	return r.write(f)
}

// escaped leaves only what RFC 3986 does not reserve.
func escaped(s string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		if strings.IndexByte("-._~", c) >= 0 || '0' <= c && c <= '9' || 'A' <= c && c <= 'Z' ||
			'a' <= c && c <= 'z' {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

var words = []string{
	"plain", "with space", "100%", "%41", "a#b", "ä", "日本", "e\u0301", "q?x=y&z", "semi;colon",
	"+plus", "quote\"'", "{name}", "back\\slash",
	"new\nline", "tab\t", "dots..", "~tilde", "a=b", "[list]", strings.Repeat("long", 40),
}

func (r *round) word() string {
	w := words[r.rnd.IntN(len(words))]
	if runtime.GOOS == "windows" {
		w = strings.Map(func(c rune) rune {
			if c < ' ' || strings.ContainsRune(`<>:"/\|?*`, c) {
				return '_'
			}
			return c
		}, w)
	}
	return w
}

// write gives a file new content, often of the same size.
func (r *round) write(f *chaosFile) error {
	size := 0
	switch {
	case f.sums != nil && f.size > 0 && r.odds(0.5):
		size = f.size
	case r.odds(0.03):
		size = int(r.pick(1<<20, 3<<20))
	case r.odds(0.1):
		size = int(r.pick(10<<10, 300<<10))
	case r.oneName || r.odds(0.9):
		size = int(r.pick(16, 10<<10))
	}
	content := make([]byte, size)
	for i := 0; i < size; i += 8 {
		var word [8]byte
		for j, v := 0, r.rnd.Uint64(); j < 8; j, v = j+1, v>>8 {
			word[j] = byte(v)
		}
		copy(content[i:], word[:])
	}
	sum := sumOf(content)
	if slices.Contains(f.sums, sum) { // two empty ones
		return nil
	}
	f.sums, f.size = append(f.sums, sum), size
	name := filepath.Join(r.dir, filepath.FromSlash(f.path))
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return err
	}
	return os.WriteFile(name, content, 0o600)
}

func sumOf(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}

// alter changes some files and adds others, once nothing of the old ones is under way.
func (r *round) alter(ctx context.Context) error {
	if err := r.look(ctx, true); err != nil {
		return err
	}
	for range 1 + r.rnd.IntN(3) {
		f, doubtful := r.files[r.rnd.IntN(len(r.files))], r.rnd.IntN(1<<20)
		if n := len(r.doubtful); n > 0 && doubtful%2 == 0 {
			f = r.doubtful[doubtful/2%n]
		}
		if r.digest && r.odds(0.5) {
			now := time.Now()
			if err := os.Chtimes(filepath.Join(r.dir, filepath.FromSlash(f.path)), now,
				now); err != nil {
				return err
			}
			continue
		}
		if err := r.write(f); err != nil {
			return err
		}
		if r.own != nil {
			r.own.forget(f.name)
		}
	}
	for range r.rnd.IntN(3) {
		if err := r.add(); err != nil {
			return err
		}
	}
	return nil
}

// send runs the command, which may be stopped on the way. It returns whether it ended by itself.
func (r *round) send(ctx context.Context, stop bool) (ended bool, err error) {
	// Chance is asked here only, so that a seed means the same however long things take.
	how, signals := r.signals()
	delay := r.duration(2*time.Millisecond, time.Duration(r.pick(50, 1500))*time.Millisecond)
	gap := r.duration(time.Millisecond, 300*time.Millisecond)
	sending, rival, export := r.odds(0.7), r.rivals && r.odds(0.3), r.odds(0.5)
	if !stop {
		how, signals = "left alone", nil
	}

	for _, name := range []string{"report.json", "results.ndjson"} {
		_ = os.Remove(filepath.Join(r.dir, name))
	}
	if err := r.list(); err != nil {
		return false, err
	}
	r.runs++
	r.spoiled = false
	p, err := start(r.bin, r.dir, r.args...)
	if err != nil {
		return false, err
	}
	defer p.kill()
	if rival {
		if err := r.rival(p); err != nil {
			return false, err
		}
	}
	// most kills are to hit what is under way
	for sending && !p.hasJournal() && !p.wait(time.Millisecond) {
	}
	expect := []int{exit.Delivered, exit.Items}
	if r.way == byTrust {
		expect = append(expect, exit.Unavailable) // once too many files in a row are in doubt
	}
	for i, s := range signals {
		if p.wait(delay) {
			break
		}
		delay = gap
		_ = p.cmd.Process.Signal(s)
		switch s {
		case os.Kill:
			expect = append(expect, -1)
		case os.Interrupt:
			expect = append(expect, exit.Interrupted, -1)
		case syscall.SIGTERM:
			expect = append(expect, exit.Terminated, -1)
		}
		if s == os.Kill || s == os.Interrupt && i > 0 { // what is in flight is broken off
			r.kills++
		}
	}
	if !r.outlast(ctx, p) {
		r.find("run %d does not end, and sends nothing", r.runs)
	}
	p.kill()
	status := p.status()
	r.said = append(r.said, fmt.Sprintf("--- run %d: %s, over after %v: exit status %d\n%v",
		r.runs, how, time.Since(p.began).Round(time.Millisecond), status, &p.said))
	if !slices.Contains(expect, status) {
		r.find("run %d, %s: exit status %d, want one of %v", r.runs, how, status, expect)
	}
	if err := r.read(status); err != nil {
		return false, err
	}
	if export {
		ends, err := journalOf(r.bin, r.dir, p, r.files)
		if err != nil {
			r.find("after run %d: %v", r.runs, err)
		}
		r.doubtful = nil
		for _, f := range r.files {
			if ends[f] == item.Unknown {
				r.doubtful = append(r.doubtful, f)
			}
		}
		// Of what has changed since, it speaks of the older content.
		maps.DeleteFunc(ends, func(f *chaosFile, _ item.Fate) bool { return len(f.sums) > 1 })
		r.claim(ends, fmt.Sprintf("the journal after run %d", r.runs))
	}
	return status == exit.Delivered || status == exit.Items, nil
}

// outlast waits for p to end, and reports whether it did, or at least goes on sending.
func (r *round) outlast(ctx context.Context, p *program) bool {
	const patience = 90 * time.Second // longer than any pause that it has a reason for
	for before := int64(-1); !p.wait(patience); {
		var now int64
		if r.own != nil {
			now = r.own.asked()
		} else if s, err := r.lab.ask(ctx); err == nil {
			now = s.Requests + s.Looked
		}
		if now == before || ctx.Err() != nil {
			return false
		}
		before = now
	}
	return true
}

// claim keeps what is told of files until it can be judged.
func (r *round) claim(items map[*chaosFile]item.Fate, where string) {
	for f, status := range items {
		r.claims = append(r.claims, claim{f, status, where})
	}
}

// rival starts the same command while p runs, which has to turn it away. If p ends meanwhile, the
// rival is the run.
func (r *round) rival(p *program) error {
	for !p.hasJournal() {
		if p.wait(time.Millisecond) {
			return nil
		}
	}
	q, err := start(r.bin, r.dir, r.args...)
	if err != nil {
		return err
	}
	defer q.kill()
	for !q.wait(time.Millisecond) {
		if p.wait(0) {
			r.spoiled = true
			r.kills++
			return nil
		}
	}
	r.said = append(r.said, fmt.Sprintf("--- beside run %d: exit status %d\n%v", r.runs,
		q.status(), &q.said))
	// It may also come in when p has done all but to end.
	if ok := []int{exit.InUse, exit.Delivered, exit.Items}; !slices.Contains(ok, q.status()) {
		r.find("beside run %d another ended with exit status %d, want one of %v", r.runs,
			q.status(), ok)
	}
	r.spoiled = r.spoiled || q.status() != exit.InUse
	return nil
}

// list writes the manifest.
func (r *round) list() error {
	if !r.manifest {
		return nil
	}
	var b bytes.Buffer
	lines := json.NewEncoder(&b)
	for i, f := range r.files {
		line := map[string]string{"path": strings.TrimPrefix(f.path, "data/"),
			"key": fmt.Sprintf("file %d, version %d", i, len(f.sums))}
		if err := lines.Encode(line); err != nil {
			return err
		}
	}
	return os.WriteFile(filepath.Join(r.dir, "data", manifestName), b.Bytes(), 0o600)
}

// manifestName is hidden, so that it is not itself sent.
const manifestName = ".manifest.ndjson"

// signals chooses how to stop a run.
func (r *round) signals() (how string, all []os.Signal) {
	if runtime.GOOS == "windows" {
		return "killed", []os.Signal{os.Kill}
	}
	switch n := r.rnd.IntN(20); {
	case n < 1:
		return "interrupted", []os.Signal{os.Interrupt}
	case n < 3:
		return "interrupted twice", []os.Signal{os.Interrupt, os.Interrupt}
	case n < 4:
		return "terminated", []os.Signal{syscall.SIGTERM}
	case n < 6:
		return "terminated, then killed", []os.Signal{syscall.SIGTERM, os.Kill}
	case n < 9 && sleepSignal != nil:
		return "put to sleep, woken, then killed", []os.Signal{sleepSignal, wakeSignal, os.Kill}
	case n < 11 && sleepSignal != nil:
		return "put to sleep and woken", []os.Signal{sleepSignal, wakeSignal}
	}
	return "killed", []os.Signal{os.Kill}
}

// read reads what the run has written.
func (r *round) read(status int) error {
	byItself, ended := status >= 0, status == exit.Delivered || status == exit.Items
	r.report = report.Summary{}
	text, err := os.ReadFile(filepath.Join(r.dir, "report.json"))
	if err == nil {
		err = json.Unmarshal(text, &r.report)
	}
	switch {
	case err != nil && byItself && !errors.Is(err, os.ErrNotExist):
		return err
	case err != nil && ended:
		r.find("run %d wrote no report: %v", r.runs, err)
	}
	q := r.report.Requests
	// resends by net/http
	hidden := q.Sent - q.Accepted - q.Throttled - q.Overloaded - q.TimedOut - q.Errors
	r.impatient += q.TimedOut + max(0, hidden)
	if !r.results || r.spoiled {
		return nil
	}
	text, err = os.ReadFile(filepath.Join(r.dir, "results.ndjson"))
	if errors.Is(err, os.ErrNotExist) && !ended {
		return nil
	}
	if err != nil {
		return err
	}
	where := fmt.Sprintf("the results of run %d", r.runs)
	items, err := readItems(text, r.files, !byItself)
	if err != nil {
		r.find("%s: %v", where, err)
	}
	if ended && len(items) != len(r.files) {
		r.find("%s have %d files, of %d", where, len(items), len(r.files))
	}
	r.claim(items, where)
	return nil
}

// look reads the server's record, with idle once nothing is under way there, and judges what was
// claimed meanwhile.
func (r *round) look(ctx context.Context, idle bool) error {
	if r.own != nil {
		if idle {
			if err := r.own.idle(); err != nil {
				return err
			}
		}
		var odd []string
		r.record, odd = r.own.sofar()
		r.findings = append(r.findings, odd...)
		r.maxInFlight, r.unheard = r.own.counts()
	} else {
		ask := r.lab.ask
		if idle {
			ask = r.lab.stats
		}
		s, err := ask(ctx)
		if err != nil && !idle {
			return nil // the lab is down, as it should be
		}
		if err != nil {
			return err
		}
		r.record, r.maxInFlight, r.unheard = labRecord(s), s.MaxInFlight, 0
		for kind, n := range s.Faults {
			if kind == "stalled" || strings.HasSuffix(kind, "-after") {
				r.unheard += n
			}
		}
	}
	for _, c := range r.claims {
		r.claimed(c.file, c.status, c.where)
	}
	r.claims = nil
	return nil
}

// done reports whether the run that has ended by itself was the last one, and judges its report.
func (r *round) done() bool {
	items := r.report.Items
	if r.spoiled {
		return false
	}
	if items.Remaining > 0 || items.Total != int64(len(r.files)) ||
		items.Delivered+items.Skipped+items.Failed+items.Unknown+items.Deferred != items.Total {
		r.find("run %d ended by itself, and of %d files says %+v", r.runs, len(r.files), items)
	}
	refused := int64(0) // for good, if the server keeps an older content
	for _, f := range r.files {
		if r.keep && len(f.sums) > 1 {
			refused++
		}
	}
	return items.Failed <= refused && items.Deferred == 0 &&
		(items.Unknown == 0 || r.way == byTrust || r.keep)
}

// ends asks the journal what became of each file.
func (r *round) ends() error {
	ends, err := journalOf(r.bin, r.dir, nil, r.files)
	for _, f := range r.files {
		f.final = ends[f]
	}
	return err
}

// labFaults are those of the lab that are called flaky.
var labFaults = func() (names []string) {
	for _, p := range lab.Presets() {
		for _, param := range p.Params {
			if p.Name == "flaky" && strings.HasPrefix(param.Help, "share: ") {
				names = append(names, param.Name)
			}
		}
	}
	return names
}()
