package main

import (
	"cmp"
	"io"
	"math"
	"slices"
	"strings"

	"github.com/penstock/penstock/internal/exit"
	"github.com/penstock/penstock/internal/human"
	"github.com/penstock/penstock/internal/journal"
	"github.com/penstock/penstock/internal/source"
	"github.com/penstock/penstock/internal/status"
	"github.com/penstock/penstock/internal/template"
)

// maxLeftOut bounds the memory for the names of what is left out.
const maxLeftOut = 10_000

// leftOut are the names of what is left out, with the reasons.
type leftOut struct {
	names []string
	n     int
}

func (l *leftOut) add(path string, why source.Reason) {
	if l.n++; l.n <= maxLeftOut {
		l.names = append(l.names, path+" ("+status.WhyLeftOut(why)+")")
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
	remarks = slices.Concat(f.environment.warnings(), f.access.remark(&f.environment),
		o.Found.Warnings)
	if _, inAll := o.Source.Divided(o.Found); o.Found.Items+inAll == 0 && !o.Found.Partial {
		where := cmp.Or(f.source.Manifest, strings.Join(f.source.Paths, ", "))
		remarks = append(remarks,
			human.Join("; ", "0 files in "+where, status.LeftOut(o.Found.LeftOut)))
	}
	if text := template.Doubtful(f.to); text != "" {
		remarks = append(remarks,
			human.Quote(text)+" in the URL is no variable, and is sent as it is")
	}
	if form := f.body.form; form != nil {
		if name, ok := form.PathAsText(); ok {
			remarks = append(remarks, "no field of the form has the file: "+human.Quote(name)+
				" is its path, a text; to send the file, put @ before {path}")
		}
	}
	nameless := f.source.Manifest == "" && f.source.Body == nil && !isLab(f.to) &&
		!strings.Contains(f.to, "{")
	if hints && nameless && (o.Found.Items > 1 || o.Found.Partial) {
		remarks = append(remarks, "no request says which file it holds: "+
			"if the server needs to know, put {name} into the URL or use --form")
	}
	return remarks
}

// fewLines is how many items, and how many failures, a dry run lists without -v.
const fewLines = 10

// plan says what a run would do, by the journal at path if there is one. It fails with the exit
// status of a run in which all that is sent is delivered.
func (f *sendFlags) plan(w io.Writer, path string, out leftOut) (err error) {
	var v *journal.View
	if path != "" {
		if v, err = journal.OpenView(path); err != nil {
			return local(err)
		}
		defer v.Close()
		if err := v.Check(f.run.Shard); err != nil {
			return err
		}
	}
	most := math.MaxInt
	if !f.verbose {
		most, out = fewLines, leftOut{}
	}
	left, err := f.run.Plan(v, most)
	if err != nil {
		return local(err)
	}
	f.run.Show(w, left, out.names, int64(out.n))
	if left.Failed+left.Unknown > 0 { // which the run cannot change
		return &exit.Error{Status: exit.Items}
	}
	return nil
}
