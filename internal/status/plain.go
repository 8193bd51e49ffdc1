// Package status words for people what the packages below it state as facts. Only it and cmd know
// the names of flags.
package status

import (
	"regexp"
	"strings"

	"github.com/penstock/penstock/internal/secret"
)

// packages are the prefixes of our packages' errors.
var packages = regexp.MustCompile(`^(journal|lab|pool|report|results|retry|source|throttle): `)

// Plain is the text of an error for people: without the names of packages, and with what to do
// about it. A name counts as a package's only where the text of an error begins with it: elsewhere
// it may be part of a file's name.
func Plain(err error) string {
	text := err.Error()
	eachError(err, func(e error) {
		own := e.Error()
		words := advise(e, strings.TrimPrefix(own, packages.FindString(own)))
		if i := strings.LastIndex(text, own); i >= 0 && words != own {
			text = text[:i] + words + text[i+len(own):]
		}
	})
	return text
}

// eachError calls do for an error and for those that it wraps, from the outside in.
func eachError(err error, do func(error)) {
	if err == nil {
		return
	}
	do(err)
	switch e := err.(type) {
	case *secret.Error: // whose text quotes that of the error it stands for
		eachError(e.Err, do)
	case interface{ Unwrap() error }:
		eachError(e.Unwrap(), do)
	case interface{ Unwrap() []error }:
		for _, inner := range e.Unwrap() {
			eachError(inner, do)
		}
	}
}
