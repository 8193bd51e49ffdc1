package lab

import (
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"strings"
)

// maxParsed is the longest body of JSON, or value of a form, that is looked at: it is held in
// memory.
const maxParsed = 512 << 20

// received is what is in a body.
type received struct {
	fields map[string]string // of a form
	json   any
	file   string // the field of a form that held a file; "" is none
	sha256 [sha256.Size]byte
	md5    [md5.Size]byte
	size   int64
}

// read reads the body and judges it: size and sum are those of the file in it from then on. A body
// that breaks off ends the exchange, as there is no client to answer.
func (p *partner) read(x *exchange) *fault {
	whole := sha256.New()
	body := io.TeeReader(x.r.Body, whole)
	var got received
	err := p.parse(&got, x.r.Header.Get("Content-Type"), body)
	if _, lost := io.Copy(io.Discard, body); lost != nil {
		x.breakOff()
	}
	whole.Sum(x.whole[:0])
	if err != nil {
		x.ledger.count(&x.ledger.mu.stats.Malformed)
		return &fault{http.StatusBadRequest, "parseError", err.Error()}
	}
	if f := p.complete(x, &got); f != nil {
		return f
	}
	x.size, x.sum = got.size, got.sha256
	if p.checksum == "" || got.matches(x.r.Header.Get(p.checksum)) {
		return nil
	}
	x.ledger.count(&x.ledger.mu.stats.BadChecksum)
	what := "is not the file's SHA-256 or MD5"
	if x.r.Header.Get(p.checksum) == "" {
		what = "must hold the file's SHA-256 or MD5"
	}
	return &fault{http.StatusBadRequest, "checksumMismatch",
		"the header " + p.checksum + " " + what}
}

// parse reads a body by its type. What is no form and no JSON is the file.
func (p *partner) parse(got *received, contentType string, body io.Reader) error {
	kind, params, err := mime.ParseMediaType(contentType)
	switch {
	case contentType != "" && err != nil:
		return fmt.Errorf("the Content-Type cannot be read: %w", err)
	case kind == "multipart/form-data":
		return got.form(multipart.NewReader(body, params["boundary"]))
	case kind == "application/x-www-form-urlencoded":
		text, err := io.ReadAll(io.LimitReader(body, maxParsed))
		if err != nil {
			return err
		}
		values, err := url.ParseQuery(string(text))
		got.fields = map[string]string{}
		for name := range values {
			got.fields[name] = values.Get(name)
		}
		if err != nil {
			return fmt.Errorf("the form cannot be read: %w", err)
		}
		return got.takeFields()
	case strings.HasSuffix(kind, "json"):
		text, err := io.ReadAll(io.LimitReader(body, maxParsed))
		if err != nil {
			return err
		}
		if err := json.Unmarshal(text, &got.json); err != nil {
			return fmt.Errorf("the body is not JSON: %w", err)
		}
		return got.take(strings.NewReader(string(text)))
	}
	return got.take(body)
}

// form reads the parts of a form. The first file is the one that counts.
func (g *received) form(parts *multipart.Reader) error {
	g.fields = map[string]string{}
	for {
		part, err := parts.NextRawPart()
		switch {
		case err == io.EOF && g.file == "":
			return g.takeFields()
		case err == io.EOF:
			return nil
		case err != nil:
			return fmt.Errorf("the form cannot be read: %w", err)
		case part.FileName() == "":
			text, err := io.ReadAll(io.LimitReader(part, maxParsed))
			if err != nil {
				return fmt.Errorf("the form cannot be read: %w", err)
			}
			g.fields[part.FormName()] = string(text)
		default:
			g.fields[part.FormName()] = ""
			if g.file != "" {
				continue
			}
			g.file = part.FormName()
			if err := g.take(part); err != nil {
				return fmt.Errorf("the form cannot be read: %w", err)
			}
		}
	}
}

// take reads what is the file.
func (g *received) take(r io.Reader) (err error) {
	sha, md := sha256.New(), md5.New()
	g.size, err = io.Copy(io.MultiWriter(sha, md), r)
	sha.Sum(g.sha256[:0])
	md.Sum(g.md5[:0])
	return err
}

// takeFields takes the fields of a form without a file for the file. The form as it is written will
// not do: its boundary is another each time.
func (g *received) takeFields() error {
	values := url.Values{}
	for name, text := range g.fields {
		values.Set(name, text)
	}
	return g.take(strings.NewReader(values.Encode()))
}

// complete judges whether all is there that must be, and decodes the file where it is in base64.
func (p *partner) complete(x *exchange, got *received) *fault {
	missing := func(what string) *fault {
		x.ledger.count(&x.ledger.mu.stats.MissingField)
		return &fault{http.StatusBadRequest, "required", what}
	}
	for _, name := range p.fields {
		if _, ok := got.member(name); !ok {
			return missing("the field " + name + " is missing")
		}
	}
	if p.file != "" && got.file != p.file {
		return missing("the form field " + p.file + " must hold a file")
	}
	if p.base64 == "" {
		return nil
	}
	value, ok := got.member(p.base64)
	text, isText := value.(string)
	if !ok {
		return missing("the field " + p.base64 + " is missing")
	}
	file := base64.NewDecoder(base64.StdEncoding.Strict(), strings.NewReader(text))
	if err := got.take(file); err != nil || !isText || strings.ContainsAny(text, "\r\n") {
		x.ledger.count(&x.ledger.mu.stats.Malformed)
		return &fault{http.StatusBadRequest, "invalid", "the field " + p.base64 +
			" is not text in base64"}
	}
	return nil
}

// member returns a field of a form, or a member of JSON: one of that name, or else the one that
// the path with dots leads to.
func (g *received) member(name string) (value any, ok bool) {
	if g.fields != nil {
		text, ok := g.fields[name]
		return text, ok
	}
	return memberOf(g.json, name)
}

func memberOf(v any, path string) (any, bool) {
	object, _ := v.(map[string]any)
	if member, ok := object[path]; ok {
		return member, true
	}
	first, rest, nested := strings.Cut(path, ".")
	if !nested {
		return nil, false
	}
	return memberOf(object[first], rest)
}

// matches reports whether a checksum, in any of the usual spellings, is the file's.
func (g *received) matches(sum string) bool {
	for _, own := range [][]byte{g.sha256[:], g.md5[:]} {
		if strings.EqualFold(sum, hex.EncodeToString(own)) ||
			sum == base64.StdEncoding.EncodeToString(own) {
			return true
		}
	}
	return false
}
