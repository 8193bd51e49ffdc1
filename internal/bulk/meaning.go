package bulk

import (
	"github.com/penstock/penstock/internal/lazy"

	"encoding/base64"
	"slices"
	"strings"

	"github.com/penstock/penstock/internal/curl"
)

// substituted is the meaning of a text that is as a whole filled in by the shell.
func substituted(text string) (variable, file string) {
	inner, found := strings.CutPrefix(text, curl.Mark)
	inner, _, more := strings.Cut(inner, curl.Mark)
	if !found || !more || len(inner)+2*len(curl.Mark) != len(text) {
		return "", ""
	}
	return meaning(inner)
}

// meaning returns the variable that stands for what $(…) or `…` print, and the file that it is
// about. It is content for a file's content as it is.
func meaning(raw string) (variable, file string) {
	inner, found := strings.CutPrefix(raw, "$(")
	if found {
		inner = strings.TrimSuffix(inner, ")")
	} else if inner, found = strings.CutPrefix(raw, "`"); found {
		inner = strings.TrimSuffix(inner, "`")
	}
	if !found {
		return "", ""
	}
	if name, found := strings.CutPrefix(inner, "<"); found { // as bash has it
		return "content", strings.TrimSpace(name)
	}
	pipe, err := curl.Pipeline(inner)
	if err != nil || len(pipe) == 0 {
		return "", ""
	}
	has := func(words ...string) bool {
		return slices.ContainsFunc(pipe, func(p curl.Program) bool {
			return slices.ContainsFunc(p.Words, func(w string) bool {
				return slices.Contains(words, w)
			})
		})
	}
	first := pipe[0]
	file = first.Input
	for i := len(first.Words) - 1; i > 0 && file == ""; i-- {
		if w := first.Words[i]; !notFile.MatchString(w) {
			file = w
		}
	}
	coded := has("base64", "-base64")
	sum := ""
	switch {
	case has("sha256sum", "-sha256", "sha256") || has("shasum") && has("256", "-a256"):
		sum = "sha256"
	case has("md5sum", "-md5", "md5"):
		sum = "md5"
	}
	switch {
	case first.Words[0] == "uuidgen":
		return "uuid", ""
	case file == "":
	case sum != "" && coded:
		return sum + "_base64", file
	case sum != "":
		return sum, file
	case coded:
		return "base64", file
	case has("stat", "wc"):
		return "size", file
	case first.Words[0] == "basename" && len(first.Words) == 2:
		return "name", file
	case first.Words[0] == "basename" && len(first.Words) == 3:
		return "stem", first.Words[1]
	case first.Words[0] == "cat" && len(pipe) == 1:
		return "content", file
	}
	return "", ""
}

// notFile finds words that are no file's name: options, their usual values, commands of openssl.
var notFile = lazy.MustCompile(`^(-.*|\d*|%.*|base64|enc|dgst|md5|sha256)$`)

// placeholderB64 finds words that stand for the base64 of a file.
var placeholderB64 = lazy.MustCompile(
	`(?i)^[<\[{(%$*]*[\w .-]*base[_ -]?64[\w .-]*[>\]})%*]*(\.\.\.|…)?$`)

// beginnings are how files of well-known types begin, in base64: PNG, JPEG, PDF, GIF, WebP and WAV,
// ZIP, TIFF, and MP4.
var beginnings = lazy.MustCompile(
	`^(iVBORw0KGgo|/9j/|JVBERi0|R0lGOD|UklGR|UEsDB|SUkqA|TU0AK|AAAA[\w+/]{4}ZnR5c)`)

var (
	dataURL     = lazy.MustCompile(`^data:[\w.+/;=-]*;base64,`)
	encodings   = lazy.MustCompile(`(?i)encoding|format|type`)
	contentName = lazy.MustCompile(
		`(?i)content|data|file|image|img|body|bytes|base64|b64|attachment|document|photo|audio`)
	ellipsis = lazy.MustCompile(`(\.\.\.|…)$`)
	base64s  = lazy.MustCompile(`^[A-Za-z0-9+/]{16,}={0,2}$`)
)

// contentAt returns where, in a value, the base64 of a file begins; -1 if there is none.
func contentAt(name, value string) int {
	if variable, _ := substituted(value); variable == "base64" {
		return 0
	}
	prefix := dataURL.FindString(value)
	rest := value[len(prefix):]
	short := ellipsis.ReplaceAllString(rest, "")
	switch {
	case strings.Contains(rest, curl.Mark):
		if variable, _ := substituted(rest); variable != "base64" {
			return -1
		}
	case len(rest) <= 60 && placeholderB64.MatchString(rest):
		if strings.EqualFold(rest, "base64") && encodings.MatchString(name) {
			return -1
		}
	case beginnings.MatchString(rest) && base64s.MatchString(short+"AAAAAAAAAAAAAAAA"):
	case prefix != "":
	case contentName.MatchString(name) && base64s.MatchString(rest):
		b, err := base64.StdEncoding.DecodeString(rest)
		if err != nil || len(b) < 12 || lower.MatchString(rest) {
			return -1
		}
	default:
		return -1
	}
	return len(prefix)
}

// lower finds what is more likely a word or an ID in hexadecimal.
var lower = lazy.MustCompile(`^([a-z]+|[A-Z]+|[0-9a-f]+|[0-9A-F]+)$`)
