package gate

import (
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// RemoteKey distinguishes clients by the address that they connect from; with IPv6, by its first 64
// bits, since a client can choose the others. It is the default of [Gate].Key.
func RemoteKey(r *http.Request) string {
	if addr, ok := address(r.RemoteAddr); ok {
		return addressKey(addr)
	}
	if host, _, err := net.SplitHostPort(r.RemoteAddr); err == nil {
		return host
	}
	return r.RemoteAddr // such as that of a Unix socket, which all share
}

// ForwardedKey is [RemoteKey] for servers behind proxies, for a [Gate]'s Key: the address is the
// nearest one that is not trusted, according to Forwarded (RFC 7239) or X-Forwarded-For. Each
// trusted proxy must add the address that it was called from, as proxies do, or clear the header.
//
// Headers from a peer that is not trusted, a Unix socket for example, are ignored. If an entry is
// not an address, the request counts for the proxy that added it. The same holds if both headers
// are present and disagree: one of them comes from the client, and it is not known which.
func ForwardedKey(trusted ...netip.Prefix) func(*http.Request) string {
	trusted = slices.Clone(trusted)
	trusts := func(addr netip.Addr) bool {
		return slices.ContainsFunc(trusted, func(p netip.Prefix) bool { return p.Contains(addr) })
	}
	// nearest follows the hops, the last one first, up to one that we do not trust.
	nearest := func(peer netip.Addr, hops []string) netip.Addr {
		for i := len(hops) - 1; i >= 0 && trusts(peer); i-- {
			hop, ok := address(hops[i])
			if !ok {
				break
			}
			peer = hop
		}
		return peer
	}
	return func(r *http.Request) string {
		peer, ok := address(r.RemoteAddr)
		if !ok {
			return RemoteKey(r)
		}
		x, f := r.Header["X-Forwarded-For"], r.Header["Forwarded"]
		client := nearest(peer, listed(x))
		if len(f) > 0 {
			other := nearest(peer, forwardedFor(f))
			if len(x) > 0 && other != client {
				other = peer
			}
			client = other
		}
		return addressKey(client)
	}
}

// address reads an IP address, with a port or without. IPv4 within IPv6 is IPv4, and a zone, which
// means nothing elsewhere, is left out.
func address(s string) (netip.Addr, bool) {
	with, err := netip.ParseAddrPort(s)
	addr := with.Addr()
	if err != nil {
		if strings.HasPrefix(s, "[") && strings.HasSuffix(s, "]") {
			s = s[1 : len(s)-1]
		}
		addr, err = netip.ParseAddr(s)
	}
	return addr.Unmap().WithZone(""), err == nil
}

func addressKey(addr netip.Addr) string {
	if addr.Is4() {
		return addr.String()
	}
	prefix, _ := addr.Prefix(64)
	return prefix.String()
}

// listed returns the members of a list in a header, in order.
func listed(lines []string) []string {
	var members []string
	for _, line := range lines {
		for member := range strings.SplitSeq(line, ",") {
			if member = strings.Trim(member, " \t"); member != "" {
				members = append(members, member)
			}
		}
	}
	return members
}

// forwardedFor returns the "for" parameters of Forwarded, in order, and the empty string for a hop
// that does not tell. Where a quoted string has no end it returns nothing: a client may have left
// it open to swallow what the proxy adds.
func forwardedFor(lines []string) []string {
	var hops []string
	for _, line := range lines {
		line += "," // so that each element has an end
		hop, start, quoted := "", 0, false
		for i := 0; i < len(line); i++ {
			switch c := line[i]; {
			case c == '"':
				quoted = !quoted
			case quoted && c == '\\':
				i++
			case !quoted && (c == ',' || c == ';'):
				name, value, _ := strings.Cut(strings.Trim(line[start:i], " \t"), "=")
				if strings.EqualFold(name, "for") {
					hop = strings.Trim(value, `"`)
				}
				if start = i + 1; c == ',' {
					hops = append(hops, hop)
					hop = ""
				}
			}
		}
		if quoted {
			return nil
		}
	}
	return hops
}
