package results

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/internal/test"
)

// A lineModel is a file of results as a list, with the rules read off it again for each question.
type lineModel struct {
	lines []Result
	only  []item.Fate
}

// subject is what two lines about one item have in common.
func subject(path, method, url, key string, made bool) string {
	if key != "" && !made {
		return "key " + key
	}
	url, _, _ = strings.Cut(url, "?")
	return "place " + filepath.Clean(path) + " " + method + " " + url
}

func (r Result) subject() string { return subject(r.Path, r.Method, r.URL, r.Key, r.KeyMade) }
func (r Result) place() string   { return subject(r.Path, r.Method, r.URL, "", false) }

// holds returns the number of the line that holds of an item, or -1.
func (m lineModel) holds(subject string) int {
	last := -1
	for i, r := range m.lines {
		if r.subject() != subject {
			continue
		}
		if last < 0 || r.Status != item.Skipped || slices.Contains(m.only, item.Skipped) {
			last = i
		}
	}
	return last
}

// chosen reports whether an item is asked for by a line that holds of it.
func (m lineModel) chosen(subject string) bool {
	i := m.holds(subject)
	return i >= 0 && slices.Contains(m.only, m.lines[i].Status)
}

// chosenLines returns the numbers of the lines that hold and are asked for.
func (m lineModel) chosenLines() (numbers []int) {
	for i, r := range m.lines {
		if m.holds(r.subject()) == i && m.chosen(r.subject()) {
			numbers = append(numbers, i)
		}
	}
	return numbers
}

// takes reports whether an item is asked for, and returns which lines have found it.
func (m lineModel) takes(it item.Item) (found []int, takes bool) {
	if key := "key " + it.Key; it.Key != "" && m.holds(key) >= 0 {
		return []int{m.holds(key)}, m.chosen(key)
	}
	var path []int // lines that say that something of this path is asked for
	keyless := false
	for _, i := range m.chosenLines() {
		if r := m.lines[i]; filepath.Clean(r.Path) == filepath.Clean(it.Path) {
			path = append(path, i)
			keyless = keyless || r.subject() == r.place()
		}
	}
	if path == nil || it.Key != "" && !keyless {
		return nil, false
	}
	place := subject(it.Path, it.Method, it.URL, "", false)
	if m.chosen(place) {
		return []int{m.holds(place)}, true
	}
	known, byKey := false, false
	for _, r := range m.lines {
		if r.place() == place {
			known, byKey = true, byKey || r.subject() != place && m.chosen(r.subject())
		}
	}
	return path, !known || byKey && it.Key == ""
}

// A model that keeps all lines, and looks at each of them, selects the same.
func TestSelectModel(t *testing.T) {
	name := filepath.Join(t.TempDir(), "r")
	statuses := []item.Fate{item.Delivered, item.Failed, item.Unknown, item.Skipped, item.Deferred}
	some := func(of ...string) *rapid.Generator[string] { return rapid.SampledFrom(of) }
	var items []item.Item // all that may be asked for
	for _, path := range []string{"a", "./b", "c"} {
		for _, url := range []string{"1?s=1", "2", "3"} {
			for _, key := range []string{"", "k1", "k2", "k3"} {
				for _, method := range []string{"PUT", "POST"} {
					items = append(items,
						item.Item{Path: path, URL: "http://h/" + url, Method: method, Key: key})
				}
			}
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		m := lineModel{only: rapid.SliceOfNDistinct(rapid.SampledFrom(statuses), 1, 4, rapid.ID).
			Draw(t, "only")}
		m.lines = rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Result {
			return Result{
				Path:    some("a", "./a", "b").Draw(t, "path"),
				URL:     "http://h/" + some("1", "2", "2?s=***").Draw(t, "url"),
				Method:  some("PUT", "PUT", "PUT", "POST").Draw(t, "method"),
				Key:     some("", "", "k1", "k2").Draw(t, "key"),
				KeyMade: rapid.Bool().Draw(t, "made"),
				Status:  rapid.SampledFrom(statuses).Draw(t, "status"),
			}
		}), 0, 12).Draw(t, "lines")
		var b bytes.Buffer
		w := NewWriter(&b)
		for _, r := range m.lines {
			test.OK(t, w.Write(r))
		}
		test.OK(t, w.Close(t.Context()))
		test.OK(t, os.WriteFile(name, b.Bytes(), 0o666))

		chosen := m.chosenLines()
		lines, err := SelectLines(t.Context(), name, item.FatesOf(m.only...))
		test.OK(t, err)
		for i := range m.lines {
			if got, want := lines.Has(i+1), slices.Contains(chosen, i); got != want {
				t.Fatalf("line %d of a manifest: %v, want %v", i+1, got, want)
			}
		}

		s, err := Select(t.Context(), name, item.FatesOf(m.only...))
		test.OK(t, err)
		match, found := s.Match(), map[int]bool{}
		for _, it := range items {
			if _, want := m.takes(it); s.Match().Takes(&it) != want {
				t.Fatalf("%+v: want %v", it, want)
			}
		}
		for _, it := range rapid.SliceOfN(rapid.SampledFrom(items), 0, 6).Draw(t, "items") {
			may, takes := match.May(&it), match.Takes(&it)
			lines, want := m.takes(it)
			if takes != want || takes && !may {
				t.Fatalf("%+v: may %v, takes %v, want %v", it, may, takes, want)
			}
			for _, i := range lines {
				found[i] = found[i] || want
			}
		}
		unmatched := int64(0)
		for _, i := range chosen {
			if !found[i] {
				unmatched++
			}
		}
		if got := match.Unmatched(); got != unmatched {
			t.Fatalf("%d unmatched, want %d", got, unmatched)
		}
	})
}
