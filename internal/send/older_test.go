package send

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/penstock/penstock/internal/memnet"
	"github.com/penstock/penstock/internal/report"
	"github.com/penstock/penstock/internal/source"
)

// An answer is what a [keeper] does with one request that it could accept.
type answer struct {
	stores bool
	status int // 0: the connection is reset
	wait   int // Retry-After, in seconds
	kill   bool
}

func (a answer) String() string {
	return fmt.Sprintf("%+v", struct{ S, R, W, K any }{a.stores, a.status, a.wait, a.kill})
}

// A keeper is a server that has one file, and knows which contents it ever accepted.
type keeper struct {
	content  string    // at its URL
	stored   time.Time // when that was
	accepted map[string]bool
	keys     map[string]bool
	answers  []answer
	during   func() // while a request is on its way
	killed   func() // takes what is on disk then for what a killed run has left
	requests int
}

func (k *keeper) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	if r.Method == http.MethodHead || r.Method == http.MethodGet {
		if k.content == "" {
			w.WriteHeader(http.StatusNotFound)
		} else if r.Method == http.MethodGet {
			io.WriteString(w, k.content)
		} else {
			w.Header().Set("Content-Length", fmt.Sprint(len(k.content)))
			w.Header().Set("Last-Modified", k.stored.UTC().Format(http.TimeFormat))
		}
		return
	}
	if k.requests++; k.during != nil {
		k.during()
	}
	if k.killed == nil { // the run was killed: what it still does did not happen
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	key := r.Header.Get("Idempotency-Key")
	exists := r.Header.Get("If-None-Match") == "*" && k.content != ""
	a := answer{stores: true, status: http.StatusCreated}
	if len(k.answers) > 0 {
		a, k.answers = k.answers[0], k.answers[1:]
	}
	if a.kill {
		k.killed()
		k.killed = nil
	}
	switch {
	case key != "" && k.keys[key]: // as it was answered before
		a.stores = false
	case exists && (a.stores || a.status == http.StatusCreated): // else something before it answers
		a.stores, a.status = false, http.StatusPreconditionFailed
	}
	if a.stores {
		if k.accepted == nil {
			k.accepted, k.keys = make(map[string]bool), make(map[string]bool)
		}
		k.content, k.stored = string(body), time.Now()
		k.accepted[k.content] = true
		k.keys[key] = key != ""
	}
	if a.status == 0 {
		hijacked(w, "", (*memnet.Conn).Reset)
		return
	}
	if a.wait > 0 {
		w.Header().Set("Retry-After", fmt.Sprint(a.wait))
	}
	w.WriteHeader(a.status)
}

// A scene is one file and its server, over many runs.
type scene struct {
	*world
	keeper  *keeper
	name    string // of the journal
	kills   int
	content string
}

// write gives the file that content, with a date of its own.
func (s *scene) write(content string) {
	s.Helper()
	file := s.firstFile()
	at := time.Unix(1e9, 0)
	for _, c := range content {
		at = at.Add(time.Duration(c) * time.Hour)
	}
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		s.Fatal(err)
	}
	if err := os.Chtimes(file, time.Time{}, at); err != nil {
		s.Fatal(err)
	}
	s.content = content
}

// send does a run, and checks that it claims nothing.
func (s *scene) send(method string, answers ...answer) report.Summary {
	s.Helper()
	s.method(method)
	s.journal(s.name)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	killed := false
	s.keeper.answers = answers
	s.keeper.killed = func() {
		killed = true
		s.kills++
		next := fmt.Sprintf("%s%d.db", strings.TrimSuffix(s.name, ".db"), s.kills)
		for _, suffix := range []string{"", "-wal"} {
			b, err := os.ReadFile(s.name + suffix)
			if err == nil {
				err = os.WriteFile(next+suffix, b, 0o600)
			}
			if err != nil {
				s.Error(err)
			}
		}
		s.name = next
		cancel()
	}
	sum := s.runUntil(ctx, context.Background())
	if !killed && sum.Items.Delivered+sum.Items.Skipped > 0 && !s.has() {
		s.Errorf("it claims a delivery of %q, and the server has %q of all that it ever "+
			"accepted: %v\n%+v\n%s", s.content, s.keeper.content, s.keeper.accepted, sum.Items,
			errorsOf(sum))
	}
	return sum
}

// has reports whether the server has the content that the file has: of a POST, whether it ever
// accepted it.
func (s *scene) has() bool {
	if s.Source.Method() == http.MethodPost {
		return s.keeper.accepted[s.content]
	}
	return s.keeper.content == s.content
}

func onScene(t *testing.T, do func(s *scene)) {
	k := new(keeper)
	// to wait for a disk is most of the time of these tests
	dir, err := os.MkdirTemp("/dev/shm", "send")
	if err != nil {
		dir = t.TempDir()
	}
	defer os.RemoveAll(dir)
	onFakeTime(t, 1, k.ServeHTTP, func(w *world) {
		w.Attempts, w.MaxWait, w.GiveUpAfter, w.Workers = 2, time.Minute, time.Minute, 1
		do(&scene{world: w, keeper: k, name: filepath.Join(dir, "j.db")})
	})
}

// A server that may have the file with a content of before answers 412 for that one.
func TestOlderContentIsNoDelivery(t *testing.T) {
	stored := func(status int) answer { return answer{stores: true, status: status} }
	lost := func(status int) answer { return answer{status: status} }
	wait := answer{status: 503, wait: 3600}
	for _, c := range []struct {
		name   string
		before []answer // to the first content
		second []answer // to the second
		third  []answer // to the third, if there is one
	}{
		{"deferred, killed", []answer{stored(500), wait}, []answer{{status: 500, kill: true}}, nil},
		{"deferred, deferred", []answer{stored(500), wait}, []answer{lost(500), wait}, nil},
		{"deferred by a 504", []answer{{stores: true, status: 504, wait: 3600}},
			[]answer{{status: 500, kill: true}}, nil},
		{"failed", []answer{stored(500), lost(500), lost(500), lost(500)},
			[]answer{{status: 500, kill: true}}, nil},
		{"failed, failed", []answer{stored(500), lost(500), lost(500), lost(500)},
			[]answer{lost(500), {status: 422}}, nil},
		{"in flight", []answer{{stores: true, status: 500, kill: true}},
			[]answer{{status: 500, kill: true}}, nil},
		{"in flight, refused", []answer{{stores: true, status: 500, kill: true}},
			[]answer{{status: 429, wait: 3600}}, nil},
		{"delivered", nil, []answer{{status: 500, kill: true}}, nil},
		{"delivered, failed", nil, []answer{lost(500), {status: 422}}, nil},
		{"reset", []answer{{stores: true}, wait}, []answer{{kill: true}}, nil},
		{"changes twice", []answer{stored(500), wait}, []answer{{status: 429, wait: 3600}},
			[]answer{{status: 500, kill: true}}},
		{"changes twice, killed", []answer{stored(500), wait},
			[]answer{{status: 500, kill: true}}, []answer{{status: 500, kill: true}}},
	} {
		for _, verify := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, verify %v", c.name, verify), func(t *testing.T) {
				onScene(t, func(s *scene) {
					s.NoOverwrite, s.Verify = true, verify
					s.write("a")
					s.send("PUT", c.before...)
					for i, answers := range [][]answer{c.second, c.third} {
						if answers != nil {
							s.write(string(rune('b' + i)))
							s.send("PUT", answers...)
						}
					}
					for range 3 {
						s.send("PUT", lost(500))
					}
				})
			})
		}
	}
}

// What is said to be delivered is what the server has, whatever happens.
func TestNothingClaimed(t *testing.T) {
	answers := rapid.Custom(func(t *rapid.T) answer {
		a := answer{status: rapid.SampledFrom([]int{0, 201, 201, 400, 409, 422, 429, 500, 502,
			503, 504}).Draw(t, "status")}
		switch a.status {
		case 201:
			a.stores = true
		case 0, 500, 502, 504:
			a.stores = rapid.Bool().Draw(t, "stores")
		}
		if a.status >= 400 {
			a.wait = rapid.SampledFrom([]int{0, 0, 1, 3600}).Draw(t, "wait")
		}
		a.kill = rapid.IntRange(0, 3).Draw(t, "kill") == 0
		return a
	})
	type step struct {
		Content                       string
		Verify, Again, Resend, Digest bool
		Answers                       []answer
	}
	steps := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) step {
		return step{
			Content: rapid.SampledFrom([]string{"a", "b", "cc"}).Draw(t, "content"),
			Verify:  rapid.Bool().Draw(t, "verify"), Again: rapid.IntRange(0, 5).Draw(t,
				"again") == 0,
			Resend: rapid.Bool().Draw(t, "resend"), Digest: rapid.Bool().Draw(t, "digest"),
			Answers: rapid.SliceOfN(answers, 0, 5).Draw(t, "answers"),
		}
	}), 2, 6)
	rapid.Check(t, func(rt *rapid.T) {
		// A PUT is noted before it is sent only where that matters: one without the flag that was
		// killed is like one of another program.
		noOverwrite := rapid.Bool().Draw(rt, "no-overwrite")
		method, keyed := "PUT", false
		if rapid.Bool().Draw(rt, "post") {
			method, keyed = "POST", rapid.Bool().Draw(rt, "keyed")
		}
		plan := steps.Draw(rt, "steps")
		onScene(t, func(s *scene) {
			if keyed {
				s.Idempotency = keys
			}
			for _, step := range plan {
				s.write(step.Content)
				s.NoOverwrite, s.Verify, s.ResendUnknown, s.Digest = noOverwrite, step.Verify,
					step.Resend, step.Digest
				s.Again = time.Time{}
				if step.Again {
					s.Again = time.Now()
				}
				s.send(method, step.Answers...)
				time.Sleep(time.Second)
			}
			if s.Failed() {
				s.Fatalf("%s, keyed %v, no-overwrite %v: %+v", method, keyed, noOverwrite, plan)
			}
		})
	})
}

// A run was killed after the server had accepted a new content. With the old one back, the journal
// must not have it as delivered.
func TestChangedBackIsNoDelivery(t *testing.T) {
	for _, method := range []string{"PUT", "POST"} {
		onScene(t, func(s *scene) {
			s.write("a")
			s.send(method)
			s.write("b")
			s.send(method, answer{stores: true, status: 201, kill: true})
			s.write("a")
			if sum := s.send(method); sum.Items.Skipped > 0 {
				s.Errorf("%s: %+v", method, sum.Items)
			}
		})
	}
}

// A small file that changes while it is sent arrives as it was when it was opened. That is what was
// delivered; the new content was not.
func TestChangedWhileSentIsNoDelivery(t *testing.T) {
	onScene(t, func(s *scene) {
		s.NoOverwrite = true
		s.write("a")
		s.keeper.during = func() {
			s.keeper.during = nil
			s.write("b")
			s.content = "a" // which is claimed
		}
		if sum := s.send("PUT", answer{stores: true, status: 201}); sum.Items.Delivered != 1 {
			s.Errorf("%+v", sum.Items)
		}
		s.content = "b"
		if sum := s.send("PUT", answer{status: 500}); sum.Items.Delivered+sum.Items.Skipped > 0 ||
			sum.Items.Total != 1 {
			s.Errorf("%+v\n%s", sum.Items, errorsOf(sum))
		}
	})
}

// Files of one size and date in three folders, as archives have them, go to one URL. A digest that
// is known of the first says nothing of the second, and by it the third is not there already.
func TestDigestOfAnotherPlace(t *testing.T) {
	onScene(t, func(s *scene) {
		for _, step := range []struct {
			folder, content string
			digest          bool
		}{{"1", "old", true}, {"2", "new", false}, {"3", "old", true}} {
			file := filepath.Join(s.TempDir(), step.folder, "f")
			if err := errors.Join(os.Mkdir(filepath.Dir(file), 0o700),
				os.WriteFile(file, []byte(step.content), 0o600),
				os.Chtimes(file, time.Time{}, time.Unix(1e9, 0))); err != nil {
				s.Fatal(err)
			}
			s.Digest = step.digest
			s.from("http://127.0.0.1/f", source.Options{Paths: []string{filepath.Dir(file)},
				Method: "PUT"})
			s.journal(s.name)
			s.keeper.killed = func() {}
			s.items(s.run(), report.ItemCounts{Total: 1, Delivered: 1})
			if s.keeper.content != step.content {
				s.Errorf("the server has %q, want %q", s.keeper.content, step.content)
			}
		}
	})
}
