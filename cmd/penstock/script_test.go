package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/penstock/penstock/internal/lab"
)

// patience is for what should happen at once, on a machine with much else to do.
const patience = 20 * time.Second

// gorace keeps programs with the race detector from sleeping for a second before they exit.
const gorace = "atexit_sleep_ms=0"

// stateVar names the directory of journals: a test writes into no home directory.
const stateVar = "PENSTOCK_STATE"

// A state is what a script has beside its files.
type state struct {
	server  *server
	started *exec.Cmd // in the background
	pipe    *os.File  // what it writes and nobody reads
	ended   chan error
}

func setup(env *testscript.Env) error {
	s := &state{server: newServer()}
	env.Defer(s.server.close)
	env.Defer(func() {
		if s.started != nil {
			_ = s.started.Process.Kill()
			<-s.ended
		}
	})
	env.Values["state"] = s
	env.Setenv("SERVER", s.server.URL)
	env.Setenv("SERVER_HOST", strings.TrimPrefix(s.server.URL, "http://"))
	env.Setenv("HOST", s.server.Listener.Addr().String())
	env.Setenv("TLS_SERVER", s.server.tls.URL)
	env.Setenv("HOST", strings.TrimPrefix(s.server.URL, "http://"))
	env.Setenv("TLS_HOST", strings.TrimPrefix(s.server.tls.URL, "https://"))

	env.Setenv("NL", "\n")
	env.Setenv("ESC", "\x1b")
	env.Setenv("GORACE", gorace)
	env.Setenv(stateVar, filepath.Join(env.WorkDir, ".state"))
	if err := os.WriteFile(filepath.Join(env.WorkDir, "big"), make([]byte, 300_000),
		0o666); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(env.WorkDir, "utf16"),
		[]byte("\xff\xfet\x000\x00k\x003\x00n\x00"), 0o666); err != nil {
		return err
	}
	return s.server.writeFiles(env.WorkDir)
}

func of(ts *testscript.TestScript) *state { return ts.Value("state").(*state) }

var commands = map[string]func(ts *testscript.TestScript, neg bool, args []string){
	"exits": exits,

	"start":  start,
	"said":   said,
	"signal": sendSignal,
	"ends":   ends,

	"expand":   expand,
	"laburl":   labURL,
	"location": location,
	"fetch":    fetch,
	"post":     post,
	"labstats": labStats,
	"held":     held,
	"release":  release,
	"got":      got,
	"sent":     sent,
	"stored":   storedCount,
	"arrives":  arrives,

	"remember": remember,
	"use":      use,
	"sql":      execSQL,
	"sorted":   sorted,
	"truncate": truncate,

	"redis": redis,

	"json": jsonValue,
	"sums": sums,
	"keys": keys,
	"tidy": tidy,
}

func usage(ts *testscript.TestScript, ok bool, text string) {
	if !ok {
		ts.Fatalf("usage: %s", text)
	}
}

// exits runs a program that has to end with the given exit status.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && len(args) >= 2, "exits STATUS PROGRAM [ARG...]")
	exitStatus(ts, args[0], ts.Exec(args[1], args[2:]...))
}

func exitStatus(ts *testscript.TestScript, want string, err error) {
	got := 0
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		got = exit.ExitCode()
	case err != nil:
		ts.Fatalf("%v", err)
	}
	if !slices.Contains(strings.Split(want, "|"), strconv.Itoa(got)) {
		ts.Fatalf("exit status %d, want %s", got, want)
	}
}

// start runs a program in the background. Its output goes to the files out and err; its standard
// input is a pipe in which nothing comes.
func start(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && len(args) > 0 && of(ts).started == nil,
		"start PROGRAM [ARG...], one at a time")
	startWith(ts, args, func(*exec.Cmd) {})
}

func startWith(ts *testscript.TestScript, args []string, change func(*exec.Cmd)) {
	s := of(ts)
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Dir = ts.MkAbs(".")
	cmd.Env = append(os.Environ(), "GORACE="+gorace, stateVar+"="+ts.Getenv(stateVar))
	silent, err := cmd.StdinPipe()
	ts.Check(err)
	cmd.Stdout, err = os.Create(ts.MkAbs("out"))
	ts.Check(err)
	cmd.Stderr, err = os.Create(ts.MkAbs("err"))
	ts.Check(err)
	change(cmd)
	ts.Check(cmd.Start())
	s.started, s.ended = cmd, make(chan error, 1)
	go func() {
		s.ended <- cmd.Wait()
		silent.Close()
	}()
}

// said waits until the program in the background has written what matches to its standard error.
func said(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && len(args) == 1, "said REGEXP")
	re, err := regexp.Compile(args[0])
	ts.Check(err)
	deadline := time.Now().Add(patience)
	for ; !re.MatchString(ts.ReadFile("err")); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			ts.Fatalf("it does not say %q", args[0])
		}
	}
}

func sendSignal(ts *testscript.TestScript, neg bool, args []string) {
	signals := map[string]os.Signal{"INT": os.Interrupt, "TERM": syscall.SIGTERM,
		"HUP": syscall.SIGHUP, "KILL": os.Kill}
	usage(ts, !neg && len(args) == 1 && signals[args[0]] != nil && of(ts).started != nil,
		"signal INT|TERM|HUP|KILL, after start")
	ts.Check(of(ts).started.Process.Signal(signals[args[0]]))
}

// ends waits for the program in the background.
func ends(ts *testscript.TestScript, neg bool, args []string) {
	s := of(ts)
	usage(ts, !neg && len(args) == 1 && s.started != nil,
		"ends STATUS[|STATUS...], after start; -1 is an end by signal")
	select {
	case err := <-s.ended:
		s.started = nil
		ts.Logf("[stdout]\n%s[stderr]\n%s", ts.ReadFile("out"), ts.ReadFile("err"))
		exitStatus(ts, args[0], err)
	case <-time.After(patience):
		ts.Fatalf("it does not end")
	}
}

// expand puts the server's addresses into a file.
func expand(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && len(args) == 1, "expand FILE")
	text := strings.NewReplacer("$SERVER", of(ts).server.URL, "$TLS_SERVER",
		of(ts).server.tls.URL).Replace(ts.ReadFile(args[0]))
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(text), 0o666))
}

// held waits until the server holds that many requests.
func held(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && len(args) == 1, "held N")
	n, err := strconv.Atoi(args[0])
	ts.Check(err)
	deadline := time.After(patience)
	for range n {
		select {
		case <-of(ts).server.holding:
		case <-deadline:
			ts.Fatalf("the server does not hold %d requests", n)
		}
	}
}

// release lets go of the requests that the server holds.
func release(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && len(args) == 0, "release")
	of(ts).server.release()
}

// got checks what the server has under a path: method, content type and bytes.
func got(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && len(args) == 4, "got METHOD TYPE PATH FILE")
	content := gotAs(ts, args)
	if want := ts.ReadFile(args[3]); content != want {
		ts.Fatalf("%s has %d bytes %.50q, not the %d of %s", args[2], len(content), content,
			len(want), args[3])
	}
}

// sent is got with the content itself, in which \n is a newline.
func sent(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && len(args) == 4, "sent METHOD TYPE PATH TEXT")
	content := gotAs(ts, args)
	if want := strings.ReplaceAll(args[3], `\n`, "\n"); content != want {
		ts.Fatalf("%s is %q, want %q", args[2], content, want)
	}
}

// gotAs returns what the server has by that name, which came by that method and as that type.
func gotAs(ts *testscript.TestScript, args []string) string {
	body, ok := of(ts).server.get(args[2])
	if !ok {
		ts.Fatalf("the server has no %s, but %q", args[2], of(ts).server.names())
	}
	if body.method != args[0] || body.kind != args[1] {
		ts.Fatalf("%s came by %s as %q", args[2], body.method, body.kind)
	}
	return string(body.content)
}

func storedCount(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && len(args) == 1, "stored N")
	if names := of(ts).server.names(); strconv.Itoa(len(names)) != args[0] {
		ts.Fatalf("the server has %d: %q", len(names), names)
	}
}

// arrives waits until the server has stored as many.
func arrives(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && len(args) == 1, "arrives N")
	deadline := time.Now().Add(patience)
	for ; strconv.Itoa(len(of(ts).server.names())) != args[0]; time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			ts.Fatalf("the server has only %q", of(ts).server.names())
		}
	}
}

func decode(ts *testscript.TestScript, name string) any {
	d := json.NewDecoder(strings.NewReader(ts.ReadFile(name)))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		ts.Fatalf("%s: %v", name, err)
	}
	return v
}

// jsonValue checks a value in a file's first JSON object.
func jsonValue(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, len(args) >= 3, "[!] json FILE REGEXP KEY...")
	v := decode(ts, args[0])
	for _, key := range args[2:] {
		m, _ := v.(map[string]any)
		var ok bool
		if v, ok = m[key]; !ok {
			ts.Fatalf("no %q in %v", key, slices.Sorted(maps.Keys(m)))
		}
	}
	text := fmt.Sprint(v)
	if v == nil {
		text = "null"
	}
	re, err := regexp.Compile("^(?:" + args[1] + ")$")
	ts.Check(err)
	if re.MatchString(text) == neg {
		ts.Fatalf("%s is %s", strings.Join(args[2:], "."), text)
	}
}

// sums checks that the numbers of a report agree with one another.
func sums(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && len(args) == 1, "sums REPORT")
	var r struct {
		Seconds  float64
		Items    struct{ Total, Delivered, Failed, Unknown, Skipped, Deferred, Remaining int }
		Requests struct {
			Sent, Accepted, Throttled, Overloaded, Errors int
			TimedOut                                      int            `json:"timed_out"`
			ByStatus                                      map[string]int `json:"by_status"`
		}
		Waited   map[string]float64 `json:"waited_seconds"`
		Timeline struct{ Rows [][]float64 }
	}
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[0])), &r))
	i, q := r.Items, r.Requests
	if sum := i.Delivered + i.Failed + i.Unknown + i.Skipped + i.Deferred +
		i.Remaining; sum != i.Total {
		ts.Fatalf("%d items ended or remain, of %d", sum, i.Total)
	}
	// net/http sends some by itself
	if sum := q.Accepted + q.Throttled + q.Overloaded + q.TimedOut + q.Errors; sum > q.Sent {
		ts.Fatalf("%d requests ended, of %d sent", sum, q.Sent)
	}
	answers, waited := 0, 0.0
	for _, n := range q.ByStatus {
		answers += n
	}
	for _, s := range r.Waited {
		waited += s
	}
	var sent, accepted, refused float64
	for _, row := range r.Timeline.Rows {
		sent, accepted, refused = sent+row[1], accepted+row[2], refused+row[3]
	}
	if int(sent) != q.Sent || int(accepted) != q.Accepted ||
		int(refused) != q.Throttled+q.Overloaded+q.TimedOut {
		ts.Fatalf("the time line has %v sent, %v accepted, %v refused: %+v", sent, accepted,
			refused, q)
	}
	if answers > q.Sent || waited > r.Seconds+0.01 {
		ts.Fatalf("%d answers to %d requests, %v s waited in %v s", answers, q.Sent, waited,
			r.Seconds)
	}
}

// keys writes the keys of a file's first JSON object to standard output. Keys that are data and no
// names are an asterisk.
func keys(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && len(args) == 1, "keys FILE")
	found := map[string]bool{}
	var walk func(prefix string, v any)
	walk = func(prefix string, v any) {
		m, ok := v.(map[string]any)
		if !ok {
			found[prefix] = true
		}
		for key, v := range m {
			if strings.HasPrefix(key, "/") || key[0] >= '0' && key[0] <= '9' {
				key = "*"
			}
			walk(strings.TrimPrefix(prefix+"."+key, "."), v)
		}
	}
	walk("", decode(ts, args[0]))
	for _, key := range slices.Sorted(maps.Keys(found)) {
		fmt.Fprintln(ts.Stdout(), key)
	}
}

var untidy = []struct {
	re *regexp.Regexp
	by string
}{
	{regexp.MustCompile(`127\.0\.0\.1:\d+`), "HOST"},
	{regexp.MustCompile(`"seconds":[0-9.e-]+`), `"seconds":0`},
	{regexp.MustCompile(`"time":"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"`), `"time":"TIME"`},
	{regexp.MustCompile(`(?m)^held back longest by .*\n`), ""}, // or not, as the machine is loaded
	{regexp.MustCompile(` at [0-9.]+/s\b`), ""},                // likewise
	{regexp.MustCompile(`\b\d+ in any (second|100 ms)(, (?:at most )?)\d+`), "N in any $1${2}N"},
	{regexp.MustCompile(`\b[0-9.]+ (ms|s)\b`), "TIME"},
	{regexp.MustCompile(`\d\d:\d\d:\d\d`), "CLOCK"},
	{regexp.MustCompile(`go1\.[0-9.a-z]+, \w+/\w+`), "GO"},
}

// tidy writes a file to standard output, with names for what differs from run to run.
func tidy(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && len(args) == 1, "tidy FILE")
	text := []byte(strings.ReplaceAll(ts.ReadFile(args[0]), ts.Getenv("WORK"), "WORK"))
	for _, u := range untidy {
		text = u.re.ReplaceAll(text, []byte(u.by))
	}
	_, err := ts.Stdout().Write(text)
	ts.Check(err)
}

// redis starts a Redis in memory, which may want a password. Its URL is $REDIS, with the password,
// and $REDIS_HOST is where it is.
func redis(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && len(args) <= 1, "redis [PASSWORD]")
	m := miniredis.NewMiniRedis()
	user := ""
	for _, password := range args {
		m.RequireAuth(password)
		user = ":" + password + "@"
	}
	ts.Check(m.Start())
	ts.Defer(m.Close)
	ts.Setenv("REDIS_HOST", m.Addr())
	ts.Setenv("REDIS", "redis://"+user+m.Addr())
}

// labURL takes the address from what a practice server in the background said, and that of a
// relay's admin.
func labURL(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && len(args) == 0, "laburl")
	ts.Setenv("LAB", regexp.MustCompile(`http://[0-9.:]+`).FindString(ts.ReadFile("err")))
	if m := adminAt.FindStringSubmatch(ts.ReadFile("err")); m != nil {
		ts.Setenv("ADMIN", m[1])
	}
}

var adminAt = regexp.MustCompile(`page, state and metrics are at (http://[0-9.:]+)/`)

// post sends JSON, and compares the answer.
func post(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && len(args) == 3, "post URL JSON REGEXP")
	resp, err := http.Post(args[0], "application/json", strings.NewReader(args[1]))
	ts.Check(err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	ts.Check(err)
	if !regexp.MustCompile(args[2]).Match(text) {
		ts.Fatalf("%s answers %s", args[0], text)
	}
}

// fetch asks for a URL until the answer matches, and writes it to a file.
func fetch(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && len(args) == 3, "fetch URL FILE REGEXP")
	re, err := regexp.Compile(args[2])
	ts.Check(err)
	for deadline := time.Now().Add(patience); ; time.Sleep(2 * time.Millisecond) {
		resp, err := http.Get(args[0])
		ts.Check(err)
		text, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		ts.Check(err)
		if re.Match(text) {
			ts.Check(os.WriteFile(ts.MkAbs(args[1]), text, 0o666))
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("%s answers %s", args[0], text)
		}
	}
}

// labStats asks a practice server for its statistics.
func labStats(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && len(args) == 1, "labstats FILE")
	resp, err := http.Get(ts.Getenv("LAB") + lab.StatsPath)
	ts.Check(err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), text, 0o666))
}

// location takes the Location from an answer that the last command has written.
func location(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && len(args) == 0, "location")
	at := regexp.MustCompile(`(?mi)^location: (\S+)`).FindStringSubmatch(ts.ReadFile("stdout"))
	usage(ts, at != nil, "location, after an answer that has one")
	ts.Setenv("LOCATION", at[1])
}
