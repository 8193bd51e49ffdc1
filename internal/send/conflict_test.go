package send

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/time/rate"
	"pgregory.net/rapid"

	"github.com/penstock/penstock/internal/exit"
	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/internal/outcome"
	"github.com/penstock/penstock/internal/race"
	"github.com/penstock/penstock/internal/report"
	"github.com/penstock/penstock/internal/source"
	"github.com/penstock/penstock/internal/test"
)

// A server that says that it has a file already may have it from an attempt whose answer was
// another.
func TestExistsAfterDoubt(t *testing.T) {
	stored := answer{stores: true, status: http.StatusBadGateway}
	for _, c := range []struct {
		name        string
		method      string
		keyed       bool
		noOverwrite bool
		answers     []answer
		exists      int  // what the server says from then on
		older       bool // it has another content from an earlier run
		want        item.Fate
		asked       item.Fate // the same under --verify
		requests    int
	}{
		{"PUT", "PUT", false, false, []answer{stored}, 409, false, item.Unknown, item.Delivered, 2},
		{"PUT, by a condition of the user", "PUT", false, false, []answer{stored}, 412, false,
			item.Unknown, item.Delivered, 2},
		{"PUT --no-overwrite", "PUT", false, true, []answer{stored}, 409, false, item.Unknown,
			item.Delivered, 2},
		{"PUT --no-overwrite, 412", "PUT", false, true, []answer{stored}, 412, false,
			item.Unknown, item.Delivered, 2},
		{"PUT --no-overwrite, older", "PUT", false, true, []answer{{status: 502}}, 412, true,
			item.Unknown, item.Unknown, 2},
		{"PUT, gateway asks to wait", "PUT", false, false,
			[]answer{{stores: true, status: 504,
				wait: 1}}, 409, false, item.Unknown, item.Delivered, 2},
		{"POST with a key", "POST", true, false, []answer{stored}, 409, false, item.Unknown,
			item.Delivered, 1 + outcome.MostConflicts},
		{"POST with a key, 412", "POST", true, true, []answer{stored}, 412, false, item.Unknown,
			item.Delivered, 2},
		// Nothing is in doubt: it is a refusal like others.
		{"PUT, refused", "PUT", false, false, nil, 409, false, item.Failed, item.Failed, 1},
		{"PUT, refused with 412", "PUT", false, true, nil, 412, false, item.Failed, item.Failed, 1},
		{"PUT, refused after 503", "PUT", false, false, []answer{{status: 503}}, 409, false,
			item.Failed, item.Failed, 2},
		{"POST", "POST", false, false, nil, 409, false, item.Failed, item.Failed, 1},
		{"PUT with a key", "PUT", true, false, nil, 409, false, item.Failed, item.Failed,
			outcome.MostConflicts},
		{"PUT with a key, in doubt", "PUT", true, false, []answer{stored}, 409, false,
			item.Unknown, item.Delivered, 1 + outcome.MostConflicts},
		// Another request may have that key.
		{"POST with a key, never sent", "POST", true, false, nil, 409, false, item.Unknown,
			item.Unknown, outcome.MostConflicts},
		{"POST with a key, refused", "POST", true, false, []answer{{status: 503}}, 409, false,
			item.Unknown, item.Unknown, 1 + outcome.MostConflicts},
	} {
		for _, verify := range []bool{false, true} {
			name, want := c.name, c.want
			if verify {
				name, want = name+", verify", c.asked
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				onScene(t, func(s *scene) {
					if c.keyed {
						s.Idempotency = keys
					}
					if s.write("a"); c.older {
						s.send(c.method)
						s.write("b")
					}
					s.Attempts, s.NoOverwrite, s.Verify = 8, c.noOverwrite, verify
					answers := c.answers
					for range 8 {
						answers = append(answers, answer{status: c.exists})
					}
					s.keeper.requests = 0
					begun := time.Now()
					sum := s.send(c.method, answers...)
					got := map[item.Fate]int64{item.Delivered: sum.Items.Delivered,
						item.Unknown: sum.Items.Unknown, item.Failed: sum.Items.Failed}
					if got[want] != 1 || s.keeper.requests != c.requests {
						s.Errorf("%+v, want it %s, after %d requests in %v, want %d\n%s", sum.Items,
							want, s.keeper.requests, time.Since(begun), c.requests, errorsOf(sum))
					}
					var says string
					switch {
					case want != item.Unknown:
					case len(c.answers) > 0 && c.answers[0].status != http.StatusServiceUnavailable:
						says = "what the server has may be from an attempt before"
					default:
						says = "another request with this idempotency key may have been accepted"
					}
					for _, words := range []string{"may be from an attempt before",
						"another request with this"} {
						if said := strings.Contains(errorsOf(sum),
							words); said != strings.Contains(says, words) {
							s.Errorf("it says %q: %v\n%s", words, said, errorsOf(sum))
						}
					}
				})
			})
		}
	}
}

// [no overwrite] What a server has may be from an attempt before the file was touched. By the size
// and the digest it is known whether that is another content, by the time alone it is not.
func TestExistsAfterTouch(t *testing.T) {
	failed, unknown, delivered := item.Failed, item.Unknown, item.Delivered
	for _, c := range []struct {
		content                        string // "ab" before
		plain, digest, verify, checked item.Fate
	}{
		{"ab", unknown, unknown, delivered, delivered},
		{"cd", unknown, failed, unknown, failed},
		{"abc", failed, failed, failed, failed},
	} {
		for before, answers := range map[string][]answer{
			"failed":     {{stores: true, status: 502}, {status: 422}},
			"killed":     {{stores: true, status: 502, kill: true}},
			"delivered":  nil,
			"in the run": {{stores: true, status: 502}, {status: 412}},
		} {
			for i, want := range []item.Fate{c.plain, c.digest, c.verify, c.checked} {
				withDigest, verify := i%2 == 1, i >= 2
				if c.content == "ab" && withDigest && before == "delivered" {
					want = item.Skipped
				}
				for _, method := range []string{"PUT", "POST"} {
					t.Run(fmt.Sprintf("%s, %s by %s, digest %v, verify %v", before, c.content,
						method, withDigest, verify), func(t *testing.T) {
						t.Parallel()
						onScene(t, func(s *scene) {
							if method == "POST" {
								s.Idempotency = keys
							}
							s.NoOverwrite, s.Digest, s.Verify = true, withDigest, verify
							s.write("ab")
							touch := func() {
								s.keeper.during = nil
								s.write(c.content)
								test.Check(t, os.Chtimes(s.firstFile(), time.Time{}, time.Now()))
							}
							if before == "in the run" {
								s.keeper.during = touch
							}
							sum := s.send(method, answers...)
							if before != "in the run" {
								touch()
								sum = s.send(method, answer{status: 412})
							}
							got := map[item.Fate]int64{item.Delivered: sum.Items.Delivered,
								item.Unknown: sum.Items.Unknown, item.Failed: sum.Items.Failed,
								item.Skipped: sum.Items.Skipped}
							if got[want] != 1 {
								s.Errorf("%+v, want it %s\n%s", sum.Items, want, errorsOf(sum))
							}
						})
					})
				}
			}
		}
	}
}

// [no overwrite] A file that is there under --no-overwrite may be another program's: an attempt
// that may have been accepted does not make it ours.
func TestExistsByAnotherProgram(t *testing.T) {
	for _, content := range []string{"z", "zz"} {
		for _, verify := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, verify %v", content, verify), func(t *testing.T) {
				onScene(t, func(s *scene) {
					s.write("a")
					s.keeper.content = content
					s.Attempts, s.NoOverwrite, s.Verify = 8, true, verify
					s.items(s.send("PUT", answer{status: http.StatusBadGateway}),
						report.ItemCounts{Total: 1, Unknown: 1})
					if s.keeper.requests != 2 {
						s.Errorf("%d requests, want 2", s.keeper.requests)
					}
				})
			})
		}
	}
}

// A server that has all the files already works: under --no-overwrite its 412 is no reason to give
// it up, however long the run takes.
func TestExistsForLong(t *testing.T) {
	for i, c := range []struct {
		name  string
		every time.Duration
		// whether the nth request for a file is answered 502
		broken          func(path string, n int) bool
		failed, unknown int64
	}{
		{"all exist", time.Minute, func(string, int) bool { return false }, 30, 0},
		{"one failure", time.Minute, func(path string, n int) bool {
			return path == "/00000" && n == 1
		}, 29, 1},
		{"each fails once", time.Second, func(_ string, n int) bool { return n == 1 }, 0, 30},
	} {
		t.Run(c.name, func(t *testing.T) {
			race.Few(t, 2-i) // the last one is the shortest
			t.Parallel()
			var mu sync.Mutex
			requests := map[string]int{}
			onFakeTime(t, 30, func(w http.ResponseWriter, r *http.Request) {
				mu.Lock()
				requests[r.URL.Path]++
				n := requests[r.URL.Path]
				mu.Unlock()
				w.WriteHeader(map[bool]int{true: http.StatusBadGateway,
					false: http.StatusPreconditionFailed}[c.broken(r.URL.Path, n)])
			}, func(w *world) {
				w.NoOverwrite = true
				w.Attempts, w.GiveUpAfter = 8, 10*time.Minute
				w.Limits.Rate, w.Limits.InFlight = rate.Every(c.every), 1
				s := w.run()
				w.ended(s, exit.Items, 0, c.failed, c.unknown, 0, 0)
			})
		})
	}
}

// The note about --verify counts files, however often one is asked about, and of those that the
// server did not have the ones that were sent again.
func TestVerifyCountsFiles(t *testing.T) {
	const had0, had1 = "--verify: of the files in doubt the server had 0",
		"--verify: of the files in doubt the server had 1"
	for _, c := range []struct {
		name string
		// which request for the second file the server keeps; it answers 500 to each
		keeps int
		stop  time.Duration // 0: never
		sent  []int         // seconds
		items report.ItemCounts
		want  string
	}{
		{"asked three times", 0, 0, []int{10, 80, 130, 180},
			report.ItemCounts{Total: 2, Delivered: 1, Unknown: 1}, had0 +
				"; 1 was sent again, since it did not have it"},
		{"there at first", 1, 0, []int{10}, report.ItemCounts{Total: 2, Delivered: 2}, had1},
		{"there after that", 2, 0, []int{10, 80}, report.ItemCounts{Total: 2, Delivered: 2},
			had1 + "; 1 was sent again, since it did not have it"},
		{"stopped before it is sent again", 0, 75 * time.Second, []int{10},
			report.ItemCounts{Total: 2, Delivered: 1, Deferred: 1}, ""},
		{"stopped after that", 0, 85 * time.Second, []int{10, 80},
			report.ItemCounts{Total: 2, Delivered: 1, Unknown: 1}, had0 +
				"; 1 was sent again, since it did not have it"},
	} {
		t.Run(c.name, func(t *testing.T) {
			kept := map[string]bool{}
			var sent []int
			var begin time.Time
			onFakeTime(t, 2, func(w http.ResponseWriter, r *http.Request) {
				switch {
				case r.Method == http.MethodPost && r.URL.Path == "/00001":
					sent = append(sent, int(time.Since(begin).Seconds()))
					kept[r.URL.Path] = len(sent) == c.keeps
					w.WriteHeader(http.StatusInternalServerError)
				case r.Method == http.MethodPost:
					kept[r.URL.Path] = true
					accept(w, r, 0)
				case kept[r.URL.Path]:
					_, _ = io.WriteString(w, "x")
				default:
					w.WriteHeader(http.StatusNotFound)
				}
			}, func(w *world) {
				begin = w.begin
				w.Limits.InFlight, w.Limits.Rate, w.Verify = 1, 0.1, true
				w.method(http.MethodPost)
				w.journal(w.db)
				soft, stop := context.WithCancel(w.Context())
				if c.stop > 0 {
					time.AfterFunc(c.stop, stop)
				}
				s := w.runUntil(w.Context(), soft)
				stop()
				w.items(s, c.items)
				if !slices.Equal(sent, c.sent) {
					t.Errorf("sent at %v, want %v", sent, c.sent)
				}
				note := ""
				if i := slices.IndexFunc(s.Notes,
					func(note string) bool {
						return strings.HasPrefix(note, "--verify:")
					}); i >= 0 {
					note = s.Notes[i]
				}
				if note != c.want {
					t.Errorf("%q, want %q", note, c.want)
				}
			})
		})
	}
}

// What earlier runs have delivered shows whether a server keeps what it is posted.
func TestVerifyByEarlierDeliveries(t *testing.T) {
	stored := make(map[string]string)
	var posts int
	onFakeTime(t, 4, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		switch {
		case r.Header.Get("Authorization") != "Bearer t":
			w.WriteHeader(http.StatusUnauthorized)
		case r.Method == "POST":
			if posts++; posts == 4 {
				w.WriteHeader(http.StatusInternalServerError) // and it keeps nothing
				return
			}
			stored[r.URL.Path] = string(body)
			w.WriteHeader(http.StatusCreated)
		case stored[r.URL.Path] == "":
			w.WriteHeader(http.StatusNotFound)
		default:
			_, _ = io.WriteString(w, stored[r.URL.Path])
		}
	}, func(w *world) {
		w.Limits.InFlight = 1
		w.Header = http.Header{"Authorization": {"Bearer t"}}
		w.method("POST")
		w.ended(w.journaled(), exit.Items, 3, 0, 1, 0, 0)
		w.Verify = true
		s := w.journaled()
		if s.Items.Delivered != 1 || s.Items.Skipped != 3 || posts != 5 {
			t.Errorf("%d posts, %+v\n%s", posts, s.Items, errorsOf(s))
		}
		if want := "--verify: of the files in doubt the server had 0; 1 was sent again, since " +
			"it did not have it"; !slices.Contains(s.Notes, want) {
			t.Errorf("notes %q, want %q", s.Notes, want)
		}
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
				t.Parallel()
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
