package source

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/internal/secret"
)

// A result is a line of a results file, or of what penstock journal export writes. Its texts are
// valid until the next line.
type result struct {
	path, rel, url, method, key []byte
	fate                        item.Fate
	made                        bool // the key was made by the run, and is made anew: it depends on the file's content
}

// parseResult returns errNoResult for a line that is none.
func parseResult(text []byte) (r result, err error) {
	fields, err := object(text)
	if err != nil {
		return result{}, err
	}
	var kind, status, path64, rel64 []byte
	for name, raw := range fields {
		var to *[]byte
		switch string(name) {
		case "type":
			to = &kind
		case "status":
			to = &status
		case "path":
			to = &r.path
		case "path_base64":
			to = &path64
		case "rel":
			to = &r.rel
		case "rel_base64":
			to = &rel64
		case "url":
			to = &r.url
		case "method":
			to = &r.method
		case "key":
			to = &r.key
		case "key_made":
			r.made = string(raw) == "true"
			continue
		default:
			continue
		}
		if *to != nil {
			return result{}, fmt.Errorf("%s is given twice", printable(string(name)))
		}
		if string(raw) == "null" {
			continue
		}
		if *to, err = scalar(raw); err != nil {
			return result{}, fmt.Errorf("%s: %w", printable(string(name)), err)
		}
	}
	if string(kind) != "item" || status == nil {
		return result{}, errNoResult
	}
	for _, b := range []struct{ from, to *[]byte }{{&path64, &r.path}, {&rel64, &r.rel}} {
		if *b.from == nil {
			continue
		}
		if *b.to, err = base64.StdEncoding.AppendDecode(nil, *b.from); err != nil {
			return result{}, errors.New("a name is not valid base64")
		}
	}
	if len(r.path) == 0 {
		return result{}, errors.New(`no "path"`)
	}
	if r.fate, err = item.Parse(string(status)); err != nil {
		return result{}, fmt.Errorf("the status %s is not known: there are delivered, failed, unknown, skipped, deferred", printable(string(status)))
	}
	return r, nil
}

var errNoResult = errors.New(`no line of results, which has "type":"item" and a "status"`)

// firstResult looks whether a manifest consists of results, and for the method of the first. The
// first line decides; what is wrong with that is for Scan to say.
func firstResult(name string) (is bool, method string) {
	f, err := os.Open(name)
	if err != nil {
		return false, ""
	}
	defer f.Close()
	for line, err := range lines(f, false) {
		if err != nil {
			return false, ""
		}
		if line.cut && !json.Valid(line.text) {
			return strings.HasPrefix(string(line.text), `{"type":"item",`), ""
		}
		fields, err := object(line.text)
		if err != nil {
			return false, ""
		}
		kind, status := false, false
		for name, raw := range fields {
			switch string(name) {
			case "type":
				kind = string(raw) == `"item"`
			case "status":
				status = true
			case "method":
				v, _ := scalar(raw)
				method = string(v)
			}
		}
		return kind && status, method
	}
	return false, ""
}

// eachResult visits the lines of a results file. A last line that was torn when its run was killed
// is passed over.
func eachResult(ctx context.Context, what, name string, visit func(number int, r result)) (torn bool, err error) {
	f, err := os.Open(name)
	if err != nil {
		return false, fmt.Errorf("source: %s %s: %w", what, printable(name), reason(err))
	}
	defer f.Close()
	for line, err := range lines(f, false) {
		if ctx.Err() != nil {
			return false, context.Cause(ctx)
		}
		var r result
		if err == nil {
			if line.cut && !json.Valid(line.text) {
				return true, nil
			}
			r, err = parseResult(line.text)
		}
		if err != nil {
			return false, fmt.Errorf("source: %s %s line %d: %w", what, printable(name), line.number, err)
		}
		visit(line.number, r)
	}
	return false, nil
}

// An id stands for an item's key, path or URL: 64 bits of hash. The chance that two of a million
// share one is 1 in 37 million.
type id uint64

// A hasher makes ids. It is for one goroutine; another with the same seed and dir makes the same
// ids.
type hasher struct {
	seed maphash.Seed
	dir  string // where relative paths begin
	buf  []byte
}

func newHasher() (hasher, error) {
	dir, err := os.Getwd()
	return hasher{seed: maphash.MakeSeed(), dir: dir}, err
}

func (h *hasher) sum() id { return id(maphash.Bytes(h.seed, h.buf)) }

// path takes data/a and ./data/./a for the same.
func (h *hasher) path(name string) id {
	if filepath.IsAbs(name) {
		name = filepath.Clean(name)
	} else {
		name = filepath.Join(h.dir, name)
	}
	h.buf = append(append(h.buf[:0], 'p'), name...)
	return h.sum()
}

func (h *hasher) key(key string) id {
	h.buf = append(append(h.buf[:0], 'k'), key...)
	return h.sum()
}

// place goes without the URL's query, of which results show the names only.
func (h *hasher) place(path id, method, url string) id {
	url, _, _ = strings.Cut(url, "?")
	h.buf = binary.NativeEndian.AppendUint64(append(h.buf[:0], 'u'), uint64(path))
	h.buf = append(append(append(h.buf, method...), ' '), url...)
	return h.sum()
}

// of returns what a line is about: the item with its key, else the path and where that went to. One
// file may go to several URLs.
func (h *hasher) of(r result) (item, path id) {
	path = h.path(string(r.path))
	if len(r.key) > 0 && !r.made {
		return h.key(string(r.key)), path
	}
	return h.place(path, string(r.method), string(r.url)), path
}

// only reports whether a line's status is asked for.
func (s *Source) only(r result) bool { return slices.Contains(s.opts.Only, r.fate) }

// supersedes reports whether a line tells of the item's fate anew: that it was skipped is nothing
// new.
func supersedes(r result) bool { return r.fate != item.Skipped }

// A bitset holds small numbers.
type bitset []uint64

func (b *bitset) add(n int) {
	for n/64 >= len(*b) {
		*b = append(*b, 0)
	}
	(*b)[n/64] |= 1 << (n % 64)
}

func (b bitset) has(n int) bool { return n/64 < len(b) && b[n/64]&(1<<(n%64)) != 0 }

// picks are the lines of a manifest of results that are asked for.
type picks struct {
	lines bitset
	torn  bool
}

// picked reads the manifest, once, for which of its lines are the last of their items and asked
// for.
func (s *Source) picked(ctx context.Context) (*picks, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.picks != nil {
		return s.picks, nil
	}
	h, err := newHasher()
	if err != nil {
		return nil, fmt.Errorf("source: %w", err)
	}
	last := make(map[id]uint32)
	p := new(picks)
	p.torn, err = eachResult(ctx, "manifest", s.opts.Manifest, func(number int, r result) {
		if s.only(r) {
			item, _ := h.of(r)
			last[item] = uint32(number)
		} else if len(last) > 0 && supersedes(r) {
			item, _ := h.of(r)
			delete(last, item)
		}
	})
	if err != nil {
		return nil, err
	}
	for _, number := range last {
		p.lines.add(int(number))
	}
	s.picks = p
	return p, nil
}

// resultItem makes an item of a line. Its path is as the run knew it that wrote the line: relative
// to the working directory.
func (s *Source) resultItem(p *iteration, r result) (item.Item, error) {
	it := item.Item{Path: string(r.path), Rel: string(r.rel), Method: strings.ToUpper(string(r.method))}
	if !r.made {
		it.Key = string(r.key)
	}
	if it.Method != "" {
		if err := checkMethod(it.Method); err != nil {
			return it, err
		}
	}
	if err := checkHeaderValue(it.Key); err != nil {
		return it, fmt.Errorf(`"key": %w`, err)
	}
	// That a file is gone may be the very reason why it failed, and is none not to send the others.
	fi, err := statRegular(it.Path)
	if err != nil {
		return it, &deferredError{err}
	}
	vars := func(name string) (string, bool) {
		if name == "key" {
			return it.Key, it.Key != ""
		}
		return fileVar(it, name)
	}
	t, shown := s.opts.Template, string(r.url)
	if whole(shown) {
		u, err := parseURL(shown, false)
		if err != nil {
			return it, fmt.Errorf(`"url": %w`, err)
		}
		if t != nil && t.origin == u.origin {
			u.auth = t.auth
		}
		return it, s.complete(p, &it, u, fi, vars)
	}
	if t == nil {
		return it, fmt.Errorf("the results hide a part of the URL %s: give it by --to, as in the run that wrote them", printable(shown))
	}
	for _, name := range t.Vars() {
		if v, ok := vars(name); !ok || v == "" {
			return it, fmt.Errorf("the results hide a part of the URL %s, and do not have {%s}, which is needed to fill it in: give the paths or the manifest of that run, and the results with --from",
				printable(shown), name)
		}
	}
	if err := s.complete(p, &it, t, fi, vars); err != nil {
		return it, err
	}
	place, _, _ := strings.Cut(it.URL, "?")
	if was, _, _ := strings.Cut(shown, "?"); was != place && was != "" && was != secret.Mask {
		return it, fmt.Errorf("the results hide a part of the URL %s, but --to gives %s: give the --to of that run, or its paths and the results with --from",
			printable(shown), secret.URL(it.URL))
	}
	return it, nil
}

// whole reports whether results show all of a URL.
func whole(url string) bool {
	_, query, _ := strings.Cut(url, "?")
	return url != "" && url != secret.Mask && !strings.Contains(query, secret.Mask)
}

// A selection is what Options.From asks for. It takes 24 bytes a line that is asked for, for a
// moment three times that, and nothing for others.
type selection struct {
	hash    hasher
	items   []chosen // sorted
	paths   []id     // of these, sorted
	keyless bitset   // the paths that have an item without a key
	// Keys and places on these paths that are not asked for; true: but a key is that went there.
	other map[id]bool
	torn  bool
}

type chosen struct{ item, path id } // by what hasher.of says of the line

func (s *selection) item(item id) (int, bool) {
	return slices.BinarySearchFunc(s.items, item, func(c chosen, item id) int { return cmp.Compare(c.item, item) })
}

func (s *selection) path(path id) (int, bool) { return slices.BinarySearch(s.paths, path) }

// selected reads Options.From, once.
func (s *Source) selected(ctx context.Context) (*selection, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.selection != nil {
		return s.selection, nil
	}
	h, err := newHasher()
	if err != nil {
		return nil, fmt.Errorf("source: %w", err)
	}
	sel := &selection{hash: hasher{seed: h.seed, dir: h.dir}, other: map[id]bool{}}
	paths := map[id]id{} // of items
	sel.torn, err = eachResult(ctx, "results", s.opts.From, func(_ int, r result) {
		if s.only(r) {
			item, path := h.of(r)
			paths[item] = path
		} else if len(paths) > 0 && supersedes(r) {
			item, _ := h.of(r)
			delete(paths, item)
		}
	})
	if err != nil {
		return nil, err
	}
	sel.items = make([]chosen, 0, len(paths))
	sel.paths = make([]id, 0, len(paths))
	for item, path := range paths {
		sel.items = append(sel.items, chosen{item, path})
		sel.paths = append(sel.paths, path)
	}
	slices.SortFunc(sel.items, func(a, b chosen) int { return cmp.Compare(a.item, b.item) })
	slices.Sort(sel.paths)
	sel.paths = slices.Compact(sel.paths)
	if len(sel.items) == 0 {
		s.selection = sel
		return sel, nil
	}
	// Of a file that went to several places not all may be asked for.
	_, err = eachResult(ctx, "results", s.opts.From, func(_ int, r result) {
		item, path := h.of(r)
		n, ok := sel.path(path)
		if !ok {
			return
		}
		place := h.place(path, string(r.method), string(r.url))
		_, asked := sel.item(item)
		if asked && place == item {
			sel.keyless.add(n)
			return
		}
		sel.other[place] = asked || sel.other[place]
		if !asked && item != place {
			sel.other[item] = false
		}
	})
	if err != nil {
		return nil, err
	}
	s.selection = sel
	return sel, nil
}

// A join is a pass's use of a selection.
type join struct {
	*selection
	hash         hasher
	items, paths bitset // that were matched
}

// may reports whether an item can be asked for, as far as its path and key say.
func (j *join) may(it item.Item) bool {
	if j == nil {
		return true
	}
	if it.Key != "" {
		if asked, known := j.byKey(it.Key); known {
			return asked
		}
	}
	n, ok := j.selection.path(j.hash.path(it.Path))
	return ok && (it.Key == "" || j.keyless.has(n))
}

// takes reports whether an item is asked for: by its key where the line has one too, else by its
// path, and where the results know the place that it goes to, by that.
func (j *join) takes(it item.Item) bool {
	if j == nil {
		return true
	}
	if it.Key != "" {
		if asked, known := j.byKey(it.Key); known {
			return asked
		}
	}
	path := j.hash.path(it.Path)
	n, ok := j.selection.path(path)
	if !ok || it.Key != "" && !j.keyless.has(n) {
		return false
	}
	place := j.hash.place(path, it.Method, it.URL)
	if i, ok := j.selection.item(place); ok {
		j.items.add(i)
		return true
	}
	if asked, known := j.other[place]; known && (!asked || it.Key != "") {
		return false
	}
	j.paths.add(n)
	return true
}

func (j *join) byKey(key string) (asked, known bool) {
	item := j.hash.key(key)
	if i, ok := j.selection.item(item); ok {
		j.items.add(i)
		return true, true
	}
	_, known = j.other[item]
	return false, known
}

// unmatched counts the lines that no item was taken for.
func (j *join) unmatched() (n int64) {
	for i, c := range j.selection.items {
		if path, _ := j.selection.path(c.path); !j.items.has(i) && !j.paths.has(path) {
			n++
		}
	}
	return n
}
