package cache

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Reasons to forward a request (RFC 9211, section 2.2).
const (
	bypass    = "bypass"
	byMethod  = "method"
	uriMiss   = "uri-miss"
	varyMiss  = "vary-miss"
	stale     = "stale"
	byRequest = "request"
)

// Why a stale answer was given.
const (
	whileRevalidate = "stale-while-revalidate"
	ifError         = "stale-if-error"
)

// A standing is one member of Cache-Status (RFC 9211): what became of a request here. If fwd is
// empty, it is a hit.
type standing struct {
	fwd       string
	status    int // of the answer to the forwarded request; 0 if there is none
	stored    bool
	collapsed bool
	ttl       bool // whether left is known
	left      time.Duration
	detail    string
}

// text returns the member.
func (s *standing) text(name string) string {
	b := make([]byte, 0, 96)
	b = append(b, name...)
	if s.fwd == "" {
		b = append(b, "; hit"...)
	} else {
		b = append(append(b, "; fwd="...), s.fwd...)
	}
	if s.status != 0 {
		b = strconv.AppendInt(append(b, "; fwd-status="...), int64(s.status), 10)
	}
	if s.ttl {
		left := s.left / time.Second
		if s.left < 0 && s.left%time.Second != 0 {
			left-- // rounded down, so that what is stale is below zero
		}
		b = strconv.AppendInt(append(b, "; ttl="...), int64(left), 10)
	}
	if s.stored {
		b = append(b, "; stored"...)
	}
	if s.collapsed {
		b = append(b, "; collapsed"...)
	}
	if s.detail != "" {
		b = append(append(b, "; detail="...), s.detail...)
	}
	return string(b)
}

// mark appends the member to an answer's header.
func (t *Transport) mark(h http.Header, s standing) {
	h["Cache-Status"] = append(h["Cache-Status"], s.text(t.name))
}

// cacheName returns the name as RFC 8941 writes it: a token, or else a string, of which it keeps
// what may be in one.
func cacheName(name string) string {
	if name == "" {
		return "penstock"
	}
	letter := func(c rune) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' && c < 0x80 }
	other := func(c rune) bool {
		return !letter(c) && (c > 0x7e || !strings.ContainsRune("0123456789:/!#$%&'*+-.^_`|~", c))
	}
	first := rune(name[0])
	if (letter(first) || first == '*') && strings.IndexFunc(name, other) < 0 {
		return name
	}
	var b strings.Builder
	b.WriteByte('"')
	for _, c := range name {
		switch {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteRune(c)
		case 0x20 <= c && c < 0x7f:
			b.WriteRune(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}
