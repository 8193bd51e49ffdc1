package main

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/penstock/penstock/internal/human"
)

// maxLeftOut bounds the memory for the names of what is left out.
const maxLeftOut = 10_000

// leftOut are the names of what is left out, with the reasons.
type leftOut struct {
	names []string
	n     int
}

func (l *leftOut) add(path, why string) {
	if l.n++; l.n <= maxLeftOut {
		l.names = append(l.names, path+" ("+why+")")
	}
}

func (l *leftOut) lines() (lines []string) {
	for _, name := range l.names {
		lines = append(lines, "left out: "+human.Printable(name))
	}
	if more := l.n - len(l.names); more > 0 {
		lines = append(lines, "left out: "+human.Count(more)+" more")
	}
	return lines
}

// remarks are about what the user has probably not meant.
func (f *sendFlags) remarks(hints bool) (remarks []string) {
	o := f.run
	remarks = append(remarks, o.Found.Warnings...)
	if o.Found.Items == 0 && !o.Found.Partial {
		where := cmp.Or(f.source.Manifest, strings.Join(f.source.Paths, ", "))
		text := "0 files in " + where
		if left := o.Found.LeftOut.String(); left != "" {
			text += fmt.Sprintf("; left out: %s (%s)", left, o.Found.LeftOut.Advice())
		}
		remarks = append(remarks, text)
	}
	nameless := f.source.Manifest == "" && o.Form == "" && !isLab(f.to) &&
		!strings.Contains(f.to, "{")
	if hints && nameless && (o.Found.Items > 1 || o.Found.Partial) {
		remarks = append(remarks, "no request says which file it holds: "+
			"if the server needs to know, put {name} into the URL or use --form")
	}
	return remarks
}
