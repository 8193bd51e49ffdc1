package source

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/penstock/penstock/internal/human"
	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/internal/lines"
	"github.com/penstock/penstock/internal/results"
)

// isStream reports whether a manifest can be read only once: standard input, a pipe or a device.
func isStream(name string) bool {
	if name == "-" {
		return true
	}
	fi, err := os.Stat(name)
	return err == nil && fi.Mode()&(os.ModeNamedPipe|os.ModeCharDevice) != 0
}

// Stream returns the name of the manifest, for people, if that is read once: then Scan does not
// look at it, and Items yields each line as it comes. Else it returns "".
func (s *Source) Stream() string {
	switch {
	case !s.stream:
		return ""
	case s.opts.Manifest == "-":
		return "standard input"
	}
	return s.opts.Manifest
}

// streamRoot is the root of a manifest that is read once.
func (s *Source) streamRoot() (root, error) {
	name := s.opts.Manifest
	if name == "-" && s.opts.Stdin == nil {
		return root{}, errors.New("manifest -: there is no standard input")
	}
	for _, own := range s.own {
		if own.verb == "writes" && own.is(name) {
			return root{}, fmt.Errorf("manifest %s: this run would write to it, as %s: "+
				"name another file for its output", human.Quote(name), human.Quote(own.name))
		}
	}
	return root{path: name, items: s.streamed, stdin: true}, nil
}

// streamed yields the items of a stream. A line that is wrong is an item that cannot be sent: those
// before it are on their way already.
func (s *Source) streamed(iter *iteration, r root) bool {
	if iter.noStdin {
		return true
	}
	iter.division.from(&s.read)
	in := s.opts.Stdin
	if r.path != "-" {
		f, err := os.Open(r.path) // which waits until a program writes to the pipe
		if err != nil {
			iter.yield(item.Item{}, fmt.Errorf("source: manifest %s: %w", human.Quote(r.path),
				lines.Reason(err)))
			return false
		}
		defer f.Close()
		in = f
	}
	return s.streamedFrom(iter, in)
}

func (s *Source) streamedFrom(iter *iteration, in io.Reader) bool {
	first := true
	for line, err := range lines.Each(in, false) {
		if err != nil && !errors.Is(err, lines.ErrLong) {
			iter.yield(item.Item{}, fmt.Errorf("source: %s line %d: %w",
				human.Quote(s.Stream()), line.Number, err))
			return false
		}
		var it item.Item
		if err == nil {
			it, err = s.streamedItem(iter, line)
		} else {
			it, err = s.badLine(iter, line, err)
		}
		switch {
		case first && isKind(err, NoKey): // as a rule no line has one
			iter.yield(it, fmt.Errorf("source: line %d: %w", line.Number, err))
			return false
		case isKind(err, NoKey):
			it, err = s.badLine(iter, line, err)
		}
		first = false
		if it.Line = line.Number; it.Path == "" {
			it.Path = fmt.Sprintf("line %d", line.Number)
		}
		if !iter.made(it, err, func(err error) error { return err }) {
			return false
		}
	}
	return true
}

// streamedItem makes an item of a line, as far as it goes.
func (s *Source) streamedItem(iter *iteration, line lines.Line) (item.Item, error) {
	e, err := s.parseLine(line.Text)
	switch {
	case err != nil && line.Cut:
		return s.badLine(iter, line, fmt.Errorf("the input ends within the line: "+
			"the program that writes it may have failed: %w", err))
	case err != nil:
		return s.badLine(iter, line, err)
	}
	if err := checkVersion(e); err != nil {
		return s.badLine(iter, line, err)
	}
	if s.opts.Known && e.path == "" && e.key == "" {
		it := item.Item{Path: e.path, Key: e.key}
		return it, &Mistake{Kind: NoKey, Text: `no "key" and no "path", so a later run would ` +
			`not know the line again`}
	}
	return s.entryItem(iter, e, ".")
}

// badLine returns what a line that is wrong says of its item, and why it is wrong. It is known by
// its number, which is the same on each machine that is given the same lines.
func (s *Source) badLine(iter *iteration, line lines.Line, why error) (item.Item, error) {
	it := named(line.Text)
	if s.isElsewhere(iter, &it, nil, lineText, strconv.Itoa(line.Number)) {
		return it, errElsewhere
	}
	return it, why
}

// named returns what a line that is wrong says of its item, as far as it can be read.
func named(text []byte) (it item.Item) {
	_ = lines.Object(text, func(name []byte, value jsontext.Value) error {
		switch v, _ := lines.Scalar(value); string(name) {
		case "path":
			it.Path = v
		case "key":
			it.Key = v
		}
		return nil
	})
	return it
}

// checkVersion looks at the version of the line, which may be left out.
func checkVersion(e entry) error {
	v, ok := e.fields["v"]
	if ok && v.Text != strconv.Itoa(results.Version) {
		return fmt.Errorf(`"v" is the version of the line, and %s is not known, only %d: `+
			"leave it out, and give a variable another name", human.Quote(v.Text), results.Version)
	}
	return nil
}

func isKind(err error, kind MistakeKind) bool {
	m, ok := errors.AsType[*Mistake](err)
	return ok && m.Kind == kind
}

// recent knows which hashes it has seen among the last ones: at least so many, at most twice as
// many, for about 20 bytes each.
type recent struct{ young, old hashSet }

// recentHashes is two for each line, of its key and its URL: so a repeated one of the last 32,768
// lines is found whatever the journal has.
const recentHashes = 1 << 16

func (r *recent) add(h uint64) (seen bool) {
	if len(r.young) >= recentHashes || r.young == nil {
		r.old, r.young = r.young, hashSet{}
	}
	seen = r.young.add(h)
	return r.old.has(h) || seen
}
