package send

import (
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/penstock/penstock/internal/exit"
	"github.com/penstock/penstock/internal/report"
	"github.com/penstock/penstock/internal/resume"
)

// A line of a manifest whose headers mean something else now is sent again, and one that has a new credential is not.
func TestLineWithOtherHeaders(t *testing.T) {
	for _, method := range []string{"POST", "PUT"} {
		for _, digest := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, digest %v", method, digest), func(t *testing.T) {
				s, keys := new(shelf), map[string]bool{}
				onFakeTime(t, 1, func(rw http.ResponseWriter, r *http.Request) {
					keys[r.Header.Get("Idempotency-Key")] = true
					s.ServeHTTP(rw, r)
				}, func(w *world) {
					name, file := filepath.Join(w.TempDir(), "j.db"), w.firstFile()
					w.Digest = digest
					w.Idempotency = resume.Idempotency{Header: "Idempotency-Key"}
					send := func(headers string) report.Summary {
						w.manifest(fmt.Sprintf("{\"path\":%q,\"url\":\"http://127.0.0.1/a\",\"method\":%q,\"headers\":%s}\n", file, method, headers))
						left := w.plan(name)
						w.journal(name)
						sum := w.run()
						if left.Items != sum.Items.Delivered || left.skipped() != sum.Items.Skipped {
							t.Errorf("%s: the dry run sends %d, the run %+v", headers, left.Items, sum.Items)
						}
						return sum
					}
					sent, skipped := report.ItemCounts{Total: 1, Delivered: 1}, report.ItemCounts{Total: 1, Skipped: 1}
					w.items(send(`{"X-Author":"ann","X-Api-Key":"1"}`), sent)
					w.items(send(`{"X-Author":"ann","X-Api-Key":"2","X-Amz-Date":"3"}`), skipped)
					w.items(send(`{"X-Author":"bob","X-Api-Key":"2"}`), sent)
					w.items(send(`{"X-Author":"bob"}`), skipped)
					w.items(send(`{"X-Author":"bob","Content-Type":"text/plain"}`), sent)
					w.items(send(`{"X-Author":"bob","Content-Type":"text/plain"}`), skipped)
					if len(keys) != 3 {
						t.Errorf("three different requests have the keys %v", keys)
					}
				})
			})
		}
	}
}

// Two lines that differ in a header are two items. If the header is a credential they are one, and the error names it.
func TestLinesThatDifferInAHeader(t *testing.T) {
	s := new(shelf)
	onFakeTime(t, 1, s.ServeHTTP, func(w *world) {
		name, file := filepath.Join(w.TempDir(), "j.db"), w.firstFile()
		line := func(headers string) string {
			return fmt.Sprintf("{\"path\":%q,\"url\":\"http://127.0.0.1/a\",\"method\":\"POST\",\"headers\":%s}\n", file, headers)
		}
		w.manifest(line(`{"X-Object-Key":"one"}`) + line(`{"X-Object-Key":"two"}`) + line(`{"X-Title":"Basic Algebra"}`) + line(`{"X-Title":"Basic Geometry"}`))
		w.journal(name)
		w.ended(w.run(), exit.Delivered, 4, 0, 0, 0, 0)

		w.manifest(line(`{"X-Page-Token":"one","Date":"1"}`) + line(`{"X-Page-Token":"two","Date":"2"}`))
		w.journal(name)
		sum := w.run()
		w.ended(sum, exit.Items, 1, 1, 0, 0, 0)
		want := "duplicate of another item of this run (credentials in the URL and the headers Date, X-Page-Token do not count): leave one out, or give each a key of its own"
		if text := errorsOf(sum); !strings.Contains(text, want) {
			t.Errorf("%s, want %s", text, want)
		}
	})
}
