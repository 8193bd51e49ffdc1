package send

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/internal/lab"
	"github.com/penstock/penstock/internal/upstream"
)

// A way of sending decides what may come twice.
type sending int

const (
	byPut   sending = iota
	byKey           // POST with a key for each content
	byTrust         // POST without a key: nothing may come twice
)

func (w sending) String() string { return [...]string{"PUT", "POST with a key", "POST"}[w] }

// A trial is what was to be sent, and what came of it.
type trial struct {
	way     sending
	honour  bool // each key is accepted once
	oneName bool // all files go to one URL, and are known by their content
	keep    bool // the server keeps the content that it has, and refuses one that it has already

	files  []*chaosFile
	record map[string]*stored // by name

	runs        int
	kills       int
	maxInFlight int
	limit       int   // of requests in flight, as given; 0: none
	unheard     int64 // bodies stored whose client was told otherwise, or nothing
	impatient   int64 // requests that the client gave up

	findings []string
}

// A chaosFile is a file to send.
type chaosFile struct {
	path string
	name string   // that the server knows it by
	sums []string // SHA-256 of each of its contents, the present one last
	size int      // of that

	final item.Fate // in the end
}

func (f *chaosFile) sum() string { return f.sums[len(f.sums)-1] }

func (t *trial) find(format string, args ...any) {
	if len(t.findings) < 20 {
		t.findings = append(t.findings, fmt.Sprintf(format, args...))
	}
}

// times is how often the server has accepted a content of a file.
func (t *trial) times(f *chaosFile, sum string) int64 {
	if it := t.record[f.name]; it != nil {
		return it.times[sum]
	}
	return 0
}

// claimed judges what penstock tells of a file, at the time that it tells it.
func (t *trial) claimed(f *chaosFile, status item.Fate, where string) {
	stored := t.times(f, f.sum())
	switch {
	case (status == item.Delivered || status == item.Skipped) && stored == 0:
		t.find("%s: %q is said to be %s, but the server does not have it", where, f.name, status)
	case status == item.Failed && stored > 0 && t.way == byTrust:
		t.find("%s: %q is said to have failed, but the server has it", where, f.name)
	}
}

// judge judges the record and the files' ends once all is over. It returns how many bodies the
// server accepted beyond the first of each content.
func (t *trial) judge() (twice int64) {
	known := map[string]map[string]bool{}
	for _, f := range t.files {
		if known[f.name] == nil {
			known[f.name] = map[string]bool{}
		}
		for _, sum := range f.sums {
			known[f.name][sum] = true
		}
	}
	keys := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(t.record)) {
		it := t.record[name]
		for sum, n := range it.times {
			switch {
			case known[name] == nil:
				t.find("the server has %q, which is none of the files", name)
			case !known[name][sum]:
				t.find("the server has accepted %q with a content that it never had: SHA-256 %s",
					name, sum)
			}
			if n > 1 {
				twice += n - 1
			}
			if n > 1 && (t.way == byTrust || t.way == byKey && t.honour) {
				t.find("the server has accepted %q %d times", name, n)
			}
			if len(it.keys[sum]) > 1 {
				t.find("the server has accepted %q under %d keys: %q", name, len(it.keys[sum]),
					slices.Sorted(maps.Keys(it.keys[sum])))
			}
			if t.way == byKey && len(it.keys[sum]) == 0 {
				t.find("the server has accepted %q without a key", name)
			}
			for key := range it.keys[sum] {
				content := name + " " + sum
				if other := keys[key]; other != "" && other != content {
					t.find("%q came with the key of %q", content, other)
				}
				keys[key] = content
			}
		}
	}
	for _, f := range t.files {
		t.claimed(f, f.final, "in the end")
		switch f.final {
		case item.Delivered, item.Skipped:
			if it := t.record[f.name]; it != nil && !t.oneName && it.times[f.sum()] > 0 &&
				it.last != f.sum() {
				t.find("the server was sent %q in its present state, and then in an older one",
					f.name)
			}
		case item.Unknown:
			if t.way != byTrust && !t.keep {
				t.find("%q is said to be unknown", f.name)
			}
		case item.Failed:
			if it := t.record[f.name]; !t.keep || it == nil || it.last == f.sum() {
				t.find("%q is said to have failed", f.name)
			}
		case item.None:
			t.find("%q is forgotten: neither reported nor sent", f.name)
		default:
			t.find("%q is said to be %s", f.name, f.final)
		}
	}
	if most := t.allowed(); twice > most {
		t.find("%d bodies were accepted once more, after %d kills with at most %d in flight and "+
			"%d answers that hid an acceptance",
			twice, t.kills, t.maxInFlight, t.unheard)
	}
	return twice
}

// unsettled is how many files a kill may leave that were sent, and are not on disk as settled.
func (t *trial) unsettled() int {
	return max(fewestUnsettled, cmp.Or(t.limit, upstream.MostInFlight))
}

// allowed is how many bodies may come twice, where the server takes them.
func (t *trial) allowed() int64 {
	return t.unheard + t.impatient + int64(t.kills*t.unsettled())
}

// labRecord is what a lab has accepted.
func labRecord(s lab.Stats) map[string]*stored {
	record := map[string]*stored{}
	for name, it := range s.Items {
		r := newStored()
		record[name] = r
		if it.Contents == nil {
			r.add(it.SHA256, it.Times, it.Keys...)
		}
		for sum, times := range it.Contents {
			r.add(sum, times, it.ContentKeys[sum]...)
		}
		r.last = it.SHA256
	}
	return record
}

// Each rule of the judge finds what breaks it, and only that.
func TestJudge(t *testing.T) {
	good := func(w sending) *trial {
		a, b := newStored(), newStored()
		key := func(k string) []string {
			if w == byKey {
				return []string{k}
			}
			return nil
		}
		a.add("a1", 1, key("ka1")...)
		a.add("a2", 1, key("ka2")...)
		b.add("b1", 1, key("kb1")...)
		return &trial{
			way: w, honour: true, kills: 1, limit: 4, runs: 2,
			files: []*chaosFile{
				{name: "/a", sums: []string{"a1", "a2"}, final: item.Skipped},
				{name: "/b", sums: []string{"b1"}, final: item.Delivered},
			},
			record: map[string]*stored{"/a": a, "/b": b},
		}
	}
	for _, c := range []struct {
		name string
		way  sending
		do   func(*trial)
		want string // part of the one finding; "" for none
	}{
		{"all is well", byPut, func(*trial) {}, ""},
		{"all is well", byKey, func(*trial) {}, ""},
		{"all is well", byTrust, func(*trial) {}, ""},
		{"unknown and stored", byTrust, func(t *trial) { t.files[1].final = item.Unknown }, ""},
		{"unknown and not stored", byTrust,
			func(t *trial) { t.files[1].final = item.Unknown; delete(t.record, "/b") }, ""},
		{"unknown", byPut, func(t *trial) { t.files[1].final = item.Unknown },
			"said to be unknown"},
		{"unknown", byKey, func(t *trial) { t.files[1].final = item.Unknown },
			"said to be unknown"},
		{"unknown, and a content is kept", byPut,
			func(t *trial) { t.keep, t.files[1].final = true, item.Unknown }, ""},
		{"failed", byPut, func(t *trial) { t.files[1].final = item.Failed }, "said to have failed"},
		{"failed, and an older content is kept", byPut, func(t *trial) {
			t.keep, t.files[0].final, t.record["/a"] = true, item.Failed, newStored()
			t.record["/a"].add("a1", 1)
		}, ""},
		{"failed, and it is there", byPut, func(t *trial) {
			t.keep, t.files[0].final = true,
				item.Failed
		}, "said to have failed"},
		{"lost", byPut, func(t *trial) { delete(t.record, "/b") },
			"but the server does not have it"},
		{"an old content", byPut,
			func(t *trial) {
				t.record["/a"] = newStored()
				t.record["/a"].add("a1",
					1)
			}, "but the server does not have it"},
		{"an old content last", byPut, func(t *trial) { t.record["/a"].add("a1", 1) },
			"and then in an older one"},
		{"forgotten", byPut, func(t *trial) { t.files[1].final = item.None }, "is forgotten"},
		{"forgotten", byTrust, func(t *trial) { t.files[1].final = item.None }, "is forgotten"},
		{"torn", byPut, func(t *trial) { t.record["/b"].add("b", 1); t.record["/b"].last = "b1" },
			"content that it never had"},
		{"foreign", byPut, func(t *trial) { t.record["/c"] = t.record["/b"] }, "none of the files"},
		{"twice, not on disk", byPut, func(t *trial) {
			t.record["/b"].times["b1"] = 1 +
				fewestUnsettled
		}, ""},
		{"twice, not heard", byPut,
			func(t *trial) { t.unheard = 20; t.record["/b"].times["b1"] = 21 }, ""},
		{"twice, given up", byPut,
			func(t *trial) { t.impatient = 300; t.record["/b"].times["b1"] = 301 }, ""},
		{"twice, in flight", byPut,
			func(t *trial) { t.limit = 300; t.record["/b"].times["b1"] = 301 }, ""},
		{"too many twice", byPut,
			func(t *trial) { t.limit = 300; t.record["/b"].times["b1"] = 302 },
			"301 bodies were accepted once more"},
		{"twice", byKey, func(t *trial) { t.record["/b"].times["b1"] = 2 }, "2 times"},
		{"twice, to who does not honour keys", byKey,
			func(t *trial) { t.honour = false; t.record["/b"].times["b1"] = 2 }, ""},
		{"twice", byTrust, func(t *trial) { t.record["/b"].times["b1"] = 2 }, "2 times"},
		{"two keys", byKey, func(t *trial) { t.record["/b"].add("b1", 0, "kb2") }, "under 2 keys"},
		{"no key", byKey, func(t *trial) { delete(t.record["/b"].keys, "b1") }, "without a key"},
		{"a shared key", byKey,
			func(t *trial) { t.record["/b"].keys["b1"] = map[string]bool{"ka1": true} },
			"with the key of"},
		{"failed and stored", byTrust, func(t *trial) {
			t.claimed(t.files[1], item.Failed,
				"results")
		}, "but the server has it"},
		{"said too early", byTrust, func(t *trial) {
			was := t.record
			t.record = nil
			t.claimed(t.files[1], item.Delivered, "results")
			t.record = was
		}, "but the server does not have it"},
	} {
		t.Run(fmt.Sprintf("%v %s", c.way, c.name), func(t *testing.T) {
			trial := good(c.way)
			c.do(trial)
			trial.judge()
			if text := strings.Join(trial.findings, "\n"); (text == "") != (c.want == "") ||
				!strings.Contains(text, c.want) || len(trial.findings) > 1 {
				t.Errorf("it finds %q, want %q", text, c.want)
			}
		})
	}
}

func TestLabRecord(t *testing.T) {
	record := labRecord(lab.Stats{Items: map[string]lab.Item{
		"/a": {SHA256: "a1", Times: 5, Keys: []string{"k1", "k2"},
			Contents:    map[string]int64{"a1": 2, "a2": 3},
			ContentKeys: map[string][]string{"a1": {"k1"}, "a2": {"k2"}}},
		"/b": {SHA256: "b1", Times: 1, Keys: []string{"k3"}},
	}})
	want := map[string]*stored{
		"/a": {last: "a1", times: map[string]int64{"a1": 2, "a2": 3},
			keys: map[string]map[string]bool{"a1": {"k1": true}, "a2": {"k2": true}}},
		"/b": {last: "b1", times: map[string]int64{"b1": 1},
			keys: map[string]map[string]bool{"b1": {"k3": true}}},
	}
	if diff := gocmp.Diff(want, record, gocmp.AllowUnexported(stored{})); diff != "" {
		t.Error(diff)
	}
}
