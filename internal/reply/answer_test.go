package reply

import (
	"bytes"
	"compress/gzip"
	"strings"
	"testing"
)

func zipped(text string) string {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = z.Write([]byte(text))
	_ = z.Close()
	return b.String()
}

func TestExcerpt(t *testing.T) {
	for _, c := range []struct {
		name, answer string
		cut          bool
		want         string
	}{
		{"text", " no such album \r\nsecond line", false, "no such album"},
		{"a page", "<!DOCTYPE html>\n<html><head><TITLE lang=en>\n Not an image &amp; too large\n</TITLE></head><body>x</body>", false, "Not an image & too large"},
		{"a page with a byte order mark", "\ufeff<html><title>no</title>", false, "no"},
		{"a page without a title", "<html><head><title></title><style>p < q {}</style><script>if (a<b) { f('</p>') }</script></head><body><!-- <b>hidden</b> -->\n<h1>Quota\n exceeded</h1><p>Ask&nbsp;us</p>", false,
			"Quota exceeded Ask us"},
		{"XML", `<?xml version="1.0"?><Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>`, false, "AccessDenied Access Denied"},
		{"JSON on several lines", "{\n  \"error\": \"no such album\"\n}\n", false,
			`{ "error": "no such album" }`},
		{"gzip", zipped("no such album\n"), false, "no such album"},
		{"a page in gzip", zipped("<title>no such album</title>" + strings.Repeat("x", 1<<20)),
			false, "no such album"},
		{"gzip that is cut off", zipped("no such album, of " + strings.Repeat("many, ", 10))[:40],
			false, "no such album, of many, many, "},
		{"no gzip", "\x1f\x8b\x00\x00", false, ""},
		{"a picture", "\xff\xd8\xff\xe0\x00\x10JFIF", false, ""},
		{"a control character in disguise", "<title>a&#27;[2J</title>", false, ""},
		{"cut in the title", "<title>the token is abc", true, ""},
		{"cut in the text", "<p>no</p><p>the token is abc", true, "no"},
		{"cut in a tag", "<p>no</p><a href=", true, "no"},
		{"nothing but brackets", "< <>< ><!--<script", false, ""},
		{"nothing", "", false, ""},
	} {
		if got := Excerpt([]byte(c.answer), c.cut); !strings.HasPrefix(got, c.want) ||
			c.want == "" && got != "" || !strings.HasPrefix(c.name, "gzip that") && got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func FuzzExcerpt(f *testing.F) {
	f.Add([]byte("<html><title>no</title><script>a<b</script>"), true)
	f.Add([]byte("< ><!--"), false)
	f.Add([]byte(zipped("no")), false)
	f.Fuzz(func(t *testing.T, answer []byte, cut bool) {
		if got := Excerpt(answer, cut); strings.Contains(got, "\n") {
			t.Errorf("%q", got)
		}
	})
}
