package status

import (
	"fmt"
	"strings"

	"github.com/penstock/penstock/internal/conceal"
	"github.com/penstock/penstock/internal/human"
	"github.com/penstock/penstock/internal/source"
	"github.com/penstock/penstock/internal/upstream"
	"github.com/penstock/penstock/throttle"
)

// Describe says in a line what is to be sent, by which method, where to, and within which limits.
// Quota names one that is shared; "" if none is.
func Describe(
	method, to string, found source.Summary, given throttle.Limits, quota string,
) string {
	files := human.Plural(found.Items, "file") + ", " + human.Size(found.Bytes)
	where := method + " " + conceal.URL(to)
	if !strings.Contains(to, "://") {
		where = "to the URLs in " + to
	}
	switch {
	case found.Stream:
		files = "the lines of " + found.Reads
		if !strings.Contains(to, "://") {
			where = "to their URLs"
		}
	case found.Partial && found.Items == 0:
		files = "the files that standard input names"
	case found.Partial:
		files += ", and the files that standard input names"
	}
	return fmt.Sprintf("%s: %s; %s", files, where, limits(given, quota))
}

func limits(given throttle.Limits, quota string) string {
	var limits []string
	if quota != "" {
		limits = append(limits, quota)
	}
	if given.Rate > 0 {
		limits = append(limits, human.GivenRate(float64(given.Rate)))
	}
	if given.InFlight > 0 && (quota == "" || given.InFlight < upstream.MostInFlight) {
		limits = append(limits, fmt.Sprintf("at most %d in flight", given.InFlight))
	}
	if given.Bandwidth > 0 {
		limits = append(limits, "at most "+human.Speed(float64(given.Bandwidth)))
	}
	if given.Rate == 0 && given.InFlight == 0 && quota == "" {
		limits = append([]string{"as fast as the server takes them"}, limits...)
	}
	if given.Fixed {
		limits = append(limits, "fixed")
	}
	return strings.Join(limits, ", ")
}

// Scanned returns notes about what was found, and what was left out.
func Scanned(found source.Summary, left source.LeftOut) (notes []string) {
	if text := LeftOut(left); text != "" {
		notes = append(notes, text)
	}
	if n := found.Unmatched; n > 0 {
		notes = append(notes, human.Plural(n,
			"line")+" of the results that were asked for match no file here")
	}
	if found.Torn {
		notes = append(notes, "the last line of the results is incomplete and was ignored, "+
			"so its file was not sent")
	}
	return notes
}

// Gone is a note about files that were found and are not there any more.
func Gone(n int64) string { return human.Plural(n, "file") + " that were found are gone" }
