// Package reply reads what a server answers, within bounds, and finds in it what a person wants to
// know.
package reply

import (
	"bytes"
	"compress/gzip"
	"html"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/penstock/penstock/internal/nethttp"
)

const (
	// MaxRest is how much of an answer is read behind its head, and MaxTime for how long, so that
	// its connection can be used again: if it takes more, a new connection is cheaper.
	MaxRest = 256 << 10
	MaxTime = 2 * time.Second
	// MaxExcerpt is how much of a refusal's text is shown, and MaxHead how much of it is looked at:
	// a secret that is cut in two is not recognised.
	MaxExcerpt = 200
	MaxHead    = 4 << 10
)

// Read reads an answer to its end, within bounds, closes it, and returns its beginning. Cut says
// that more follows.
func Read(resp *http.Response) (head []byte, cut bool) {
	body := resp.Body
	defer body.Close()
	if resp.ContentLength == 0 {
		return nil, false
	}
	timer := time.AfterFunc(MaxTime, func() { body.Close() })
	defer timer.Stop()
	size := int64(MaxHead)
	if resp.ContentLength > 0 {
		size = min(size, resp.ContentLength)
	}
	head = make([]byte, size)
	n, err := io.ReadFull(body, head)
	if err == nil {
		_, _ = io.CopyN(io.Discard, body, MaxRest)
	}
	return head[:n], n == MaxHead
}

// Excerpt returns the text at the beginning of an answer as one line: the title of a page, or else
// its text; all of JSON; the first line of anything else; "" if there is nothing to show.
func Excerpt(head []byte, cut bool) string {
	if bytes.HasPrefix(head, []byte("\x1f\x8b")) { // gzip, whether it was asked for or not
		head, cut = unzip(head)
	}
	text := strings.TrimSpace(strings.TrimPrefix(strings.ToValidUTF8(string(head), "?"), "\ufeff"))
	line, _, _ := strings.Cut(text, "\n")
	line = strings.TrimSpace(line)
	switch {
	case strings.HasPrefix(text, "<"):
		line = pageText(text, cut)
	case strings.HasPrefix(text, "{"), strings.HasPrefix(text, "["):
		line = strings.Join(strings.Fields(text), " ")
	}
	if strings.ContainsFunc(line, func(c rune) bool { return c < ' ' && c != '\t' && c != '\r' }) {
		return "" // a picture, say
	}
	return line
}

// Shorten returns as much of a text as is shown.
func Shorten(text string) string {
	return strings.ToValidUTF8(text[:min(len(text), MaxExcerpt)],
		"")
}

// unzip returns the beginning of compressed content, and whether more follows.
func unzip(packed []byte) (head []byte, cut bool) {
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, false
	}
	head, err = io.ReadAll(io.LimitReader(z, MaxHead))
	return head, err != nil || len(head) == MaxHead
}

// pageText returns the title of an HTML page or, if there is none, as in XML, its texts. If the
// page was cut, the last text is left out: part of a secret would not be recognised.
func pageText(page string, cut bool) string {
	var texts []string
	for page != "" {
		text, rest, more := strings.Cut(page, "<")
		if text = plainText(text); text != "" && (more || !cut) {
			texts = append(texts, text)
		}
		if strings.HasPrefix(rest, "!--") {
			_, page, _ = strings.Cut(rest, "-->")
			continue
		}
		tag, after, _ := strings.Cut(rest, ">")
		page = after
		name, _, _ := strings.Cut(strings.ToLower(tag), " ")
		switch name {
		case "title":
			title, _, closed := strings.Cut(page, "<")
			if title = plainText(title); title != "" && closed {
				return title
			}
		case "script", "style": // which may contain <
			_, page, _ = strings.Cut(page, "</")
			for page != "" && !strings.HasPrefix(strings.ToLower(page[:min(len(page), len(name))]),
				name) {
				_, page, _ = strings.Cut(page, "</")
			}
			_, page, _ = strings.Cut(page, ">")
		}
	}
	return strings.Join(texts, " ")
}

// plainText returns what is between two tags as it is shown.
func plainText(s string) string { return strings.Join(strings.Fields(html.UnescapeString(s)), " ") }

// LeadsTo returns where an answer asks for the same request to be sent if that is another server;
// else nil. A way from https to http is none.
func LeadsTo(resp *http.Response) *url.URL {
	if resp.StatusCode != http.StatusTemporaryRedirect &&
		resp.StatusCode != http.StatusPermanentRedirect {
		return nil
	}
	from := resp.Request.URL
	to, err := resp.Location()
	if err != nil || nethttp.Origin(to) == nethttp.Origin(from) || nethttp.Downgrades(from, to) {
		return nil
	}
	return to
}
