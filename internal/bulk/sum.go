package bulk

import (
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"io"
	"net/url"
	"os"
	"strings"

	"github.com/penstock/penstock/internal/curl"
	"github.com/penstock/penstock/internal/lazy"
	"github.com/penstock/penstock/internal/secret"
)

// A sum is a digest of the example's file, as a text may have it.
type sum struct{ text, variable string }

// sumsOf returns the digests of a file; nil if it is not here, or no regular file: others may never
// end.
func sumsOf(name string) (sums []sum) {
	if name == "" || strings.Contains(name, curl.Mark) {
		return nil
	}
	info, err := os.Stat(name)
	if err != nil || !info.Mode().IsRegular() {
		return nil
	}
	f, err := os.Open(name)
	if err != nil {
		return nil
	}
	defer f.Close()
	sha, md := sha256.New(), md5.New()
	n, err := io.Copy(io.MultiWriter(sha, md), io.LimitReader(f, info.Size()))
	if err != nil || n != info.Size() {
		return nil
	}
	for variable, sum := range map[string][]byte{"sha256": sha.Sum(nil), "md5": md.Sum(nil)} {
		sums = append(sums, forms(hex.EncodeToString(sum), variable)...)
		sums = append(sums,
			forms(base64.StdEncoding.EncodeToString(sum), variable+"_base64")...)
	}
	return sums
}

// forms are a digest as it is and as URLs have it.
func forms(text, variable string) []sum {
	variable = "{" + variable + "}"
	return []sum{{text, variable}, {url.PathEscape(text), variable},
		{url.QueryEscape(text), variable}}
}

// sumAt returns the digest of the file that stands there, and its length; 0 if none does.
func (t *translation) sumAt(s string, at int) (length int, variable string) {
	if at > 0 && nameByte(s[at-1]) || !shortSum.MatchString(s[at:]) {
		return 0, ""
	}
	if !t.summed { // a file may be large: it is read only if there is a use for it
		t.summed, t.sums = true, sumsOf(t.file.path)
	}
	for _, sum := range t.sums {
		end := at + len(sum.text)
		if end <= len(s) && strings.EqualFold(s[at:end], sum.text) &&
			(s[at:end] == sum.text || isHex.MatchString(sum.text)) &&
			(end == len(s) || !nameByte(s[end])) {
			return len(sum.text), sum.variable
		}
	}
	return 0, ""
}

// hasSum reports whether a text has a digest of the file.
func (t *translation) hasSum(s string) bool {
	for i := range len(s) {
		if n, _ := t.sumAt(s, i); n > 0 {
			return true
		}
	}
	return false
}

var (
	shortSum = lazy.MustCompile(`^[0-9A-Za-z+/%]{22}`)
	isHex    = lazy.MustCompile(`^[0-9a-f]+$`)
	sumName  = lazy.MustCompile(`(?i)checksum|sha-?256|md5|(^|[-_])(sum|digest)([-_]|$)`)
	aSum     = lazy.MustCompile(`^(|.*[:=])([0-9A-Fa-f]{64}|[0-9A-Fa-f]{32}|` +
		`[A-Za-z0-9+/]{43}=|[A-Za-z0-9+/]{22}==)(:?)$`)
)

// variables are those of digests, by the length of their texts.
var variables = map[int]string{
	64: "{sha256}", 32: "{md5}", 44: "{sha256_base64}", 24: "{md5_base64}",
}

// isSum reports whether a header holds a digest of the file: it is that of the file here, or the
// header's name and the value's form say so.
func (t *translation) isSum(h curl.Header) bool {
	if n, _ := t.sumAt(h.Value, 0); n > 0 && n == len(h.Value) {
		return true
	}
	return t.file.path != "" && !secret.Named(h.Name) &&
		(t.hasSum(h.Value) || sumName.MatchString(h.Name) && aSum.MatchString(h.Value))
}

// sumValue returns the value of such a header as a template.
func (t *translation) sumValue(h curl.Header) string {
	if t.hasSum(h.Value) {
		return t.vary(h.Value, inHeader)
	}
	m := aSum.FindStringSubmatch(h.Value)
	variable := variables[len(m[2])]
	t.varies++
	t.note("%s in the header %s belongs to one file. It is %s now, the digest of each file.", m[2],
		h.Name, variable)
	return escape(m[1]) + variable + m[3]
}

// noteSum says of a segment of the URL that it may be a digest. It may be another number too.
func (t *translation) noteSum(segment string) {
	plain, err := url.PathUnescape(segment)
	if m := aSum.FindStringSubmatch(plain); err == nil && m != nil && t.wholeFile() {
		t.note("If %s in the URL is the digest of the file, it belongs to one file: put %s in its "+
			"place.", m[2], variables[len(m[2])])
	}
}
