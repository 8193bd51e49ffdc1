package status

import (
	"errors"
	"fmt"

	"github.com/penstock/penstock/internal/human"
)

// NothingToAsk returns the error for a run that is to ask about files none of which has a URL of
// its own. OwnURLs is whether the lines of a manifest have their URLs.
func NothingToAsk(ownURLs bool) error {
	advice := "put {name} or {path} into --to"
	if ownURLs {
		advice = `let each line's "url" end in the file's name or the "key"`
	}
	return errors.New("--verify: the server can be asked only about files that have a URL of " +
		"their own: " + advice + ", or leave --verify out")
}

// SeveralOrigins returns the error for a manifest that names two servers, where what says who the
// user is was given for all lines.
func SeveralOrigins(one, other string) error {
	return fmt.Errorf("the manifest names %s and %s, and headers, a token or a certificate are "+
		"given for all lines: say by --to which server gets them, "+
		`or put headers into the lines' "headers"`, one, other)
}

// OriginOfStream returns the error for a stream of lines that says too late which server that is.
func OriginOfStream(name string) error {
	return fmt.Errorf("the lines of %s are not known yet, and headers, a token or a certificate "+
		"are given for all: say by --to which server gets them", name)
}

// Withheld says that the files for other servers, such as one, are sent without what is for a
// server.
func Withheld(origin, path string, certificate bool) string {
	what := "headers and token"
	if certificate {
		what = "headers, token and client certificate"
	}
	return fmt.Sprintf("%s are sent to %s only; %s and the other files for other servers "+
		"are sent without them", what, origin, human.Printable(path))
}
