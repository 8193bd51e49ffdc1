package source

import (
	"fmt"
	"slices"
	"strings"
)

// LeftOut counts what walked directories and globs held but did not yield. A directory that was
// left out counts once.
type LeftOut struct {
	Excluded int64 // by Options.Exclude
	Hidden   int64 // dot files and directories
	Leftover int64 // what editors leave behind: x~, #x#, .#x, .x.swp
	Links    int64 // symbolic links
	Loops    int64 // when following: links to a directory they lie in
	Special  int64 // pipes, sockets, devices
	Own      int64 // the run's own files
	Young    int64 // by Options.MinAge
}

// counts lists the counts with their names, and the flag by which what was left out is sent.
func (l *LeftOut) counts() []leftCount {
	const hidden, links = "--hidden sends hidden files", "--follow follows links"
	return []leftCount{
		{&l.Excluded, "excluded", "", ""}, {&l.Hidden, "hidden", "", hidden},
		{&l.Leftover, "editor leftover", "s", hidden},
		{&l.Links, "link", "s", links}, {&l.Loops, "link loop", "s", ""},
		{&l.Special, "special file", "s", ""},
		{&l.Own, "of this run", "", ""}, {&l.Young, "younger than --min-age", "", ""},
	}
}

type leftCount struct {
	n            *int64
	what, plural string
	flag         string
}

// String lists the counts that are not zero, and is empty when all are.
func (l LeftOut) String() string {
	var s []string
	for _, c := range l.counts() {
		if *c.n > 1 {
			c.what += c.plural
		}
		if *c.n > 0 {
			s = append(s, fmt.Sprintf("%d %s", *c.n, c.what))
		}
	}
	return strings.Join(s, ", ")
}

// Advice says which flags send what was left out, and which names it; it is empty where nothing
// was.
func (l LeftOut) Advice() string {
	var advice []string
	for _, c := range l.counts() {
		if *c.n > 0 && c.flag != "" && !slices.Contains(advice, c.flag) {
			advice = append(advice, c.flag)
		}
	}
	if l != (LeftOut{}) {
		advice = append(advice, "-v names them")
	}
	return strings.Join(advice, "; ")
}

func (l *LeftOut) add(o LeftOut) {
	others := o.counts()
	for i, c := range l.counts() {
		*c.n += *others[i].n
	}
}

// leave counts what is left out.
func (iter *iteration) leave(count *int64, path, why string) {
	*count++
	if iter.onLeftOut != nil {
		iter.onLeftOut(path, why)
	}
}
