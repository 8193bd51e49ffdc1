package curl

import (
	"fmt"
	"slices"
	"strings"
)

// valued are curl's options that take a value.
var valued = strings.Fields(`
abstract-unix-socket alt-svc aws-sigv4 cacert capath cert cert-type ciphers config connect-timeout
connect-to continue-at cookie cookie-jar create-file-mode crlfile curves data data-ascii data-binary
data-raw data-urlencode delegation dns-interface dns-ipv4-addr dns-ipv6-addr dns-servers doh-url
dump-header ech egd-file engine etag-compare etag-save expect100-timeout form form-string
ftp-account ftp-alternative-to-user ftp-method ftp-port ftp-ssl-ccc-mode happy-eyeballs-timeout-ms
haproxy-clientip header help hostpubmd5 hostpubsha256 hsts interface ip-tos ipfs-gateway json
keepalive-cnt keepalive-time key key-type krb libcurl limit-rate local-port login-options mail-auth
mail-from mail-rcpt max-filesize max-redirs max-time netrc-file noproxy oauth2-bearer output
output-dir parallel-max parallel-max-host pass pinnedpubkey preproxy proto proto-default proto-redir
proxy proxy-cacert proxy-capath proxy-cert proxy-cert-type proxy-ciphers proxy-crlfile proxy-header
proxy-key proxy-key-type proxy-pass proxy-pinnedpubkey proxy-service-name proxy-tls13-ciphers
proxy-tlsauthtype proxy-tlspassword proxy-tlsuser proxy-user proxy1.0 pubkey quote random-file range
rate referer request request-target resolve retry retry-delay retry-max-time sasl-authzid
service-name sigalgs socks4 socks4a socks5 socks5-gssapi-service socks5-hostname speed-limit
speed-time stderr telnet-option tftp-blksize time-cond tls-max tls13-ciphers tlsauthtype tlspassword
tlsuser trace trace-ascii trace-config unix-socket upload-file url url-query user user-agent
variable vlan-priority write-out`)

// switches are its options that take none. Some have a form that begins with no-.
var switches = strings.Fields(`
alpn anyauth append basic buffer ca-native cert-status clobber compressed compressed-ssh create-dirs
crlf digest disable disable-eprt disable-epsv disallow-username-in-url doh-cert-status doh-insecure
dump-ca-embed eprt epsv fail fail-early fail-with-body false-start follow form-escape
ftp-create-dirs ftp-pasv ftp-pret ftp-skip-pasv-ip ftp-ssl-ccc ftp-ssl-control get globoff
haproxy-protocol head http0.9 http1.0 http1.1 http2 http2-prior-knowledge http3 http3-only
ignore-content-length include insecure ipv4 ipv6 junk-session-cookies keepalive list-only location
location-trusted mail-rcpt-allowfails manual metalink mptcp negotiate netrc netrc-optional next npn
ntlm ntlm-wb out-null parallel parallel-immediate path-as-is post301 post302 post303 progress-bar
progress-meter proxy-anyauth proxy-basic proxy-ca-native proxy-digest proxy-http2 proxy-insecure
proxy-negotiate proxy-ntlm proxy-ssl-allow-beast proxy-ssl-auto-client-cert proxy-tlsv1 proxytunnel
raw remote-header-name remote-name remote-name-all remote-time remove-on-error retry-all-errors
retry-connrefused sasl-ir sessionid show-error silent skip-existing socks5-basic socks5-gssapi
socks5-gssapi-nec ssl ssl-allow-beast ssl-auto-client-cert ssl-no-revoke ssl-reqd
ssl-revoke-best-effort sslv2 sslv3 styled-output suppress-connect-headers tcp-fastopen tcp-nodelay
tftp-no-options tls-earlydata tlsv1 tlsv1.0 tlsv1.1 tlsv1.2 tlsv1.3 tr-encoding trace-ids trace-time
use-ascii verbose version xattr`)

// letters are the short names of options.
var letters = map[byte]string{
	'a': "append", 'A': "user-agent", 'b': "cookie", 'B': "use-ascii", 'c': "cookie-jar",
	'C': "continue-at", 'd': "data", 'D': "dump-header", 'e': "referer", 'E': "cert", 'f': "fail",
	'F': "form", 'g': "globoff", 'G': "get", 'h': "help", 'H': "header", 'i': "include",
	'I': "head", 'j': "junk-session-cookies", 'J': "remote-header-name", 'k': "insecure",
	'K': "config", 'l': "list-only", 'L': "location", 'm': "max-time", 'M': "manual", 'n': "netrc",
	'N': "no-buffer", 'o': "output", 'O': "remote-name", 'p': "proxytunnel", 'P': "ftp-port",
	'q': "disable", 'Q': "quote", 'r': "range", 'R': "remote-time", 's': "silent",
	'S': "show-error", 't': "telnet-option", 'T': "upload-file", 'u': "user", 'U': "proxy-user",
	'v': "verbose", 'V': "version", 'w': "write-out", 'x': "proxy", 'X': "request",
	'y': "speed-time", 'Y': "speed-limit", 'z': "time-cond", 'Z': "parallel", '#': "progress-bar",
	':': "next", '0': "http1.0", '1': "tlsv1", '2': "sslv2", '3': "sslv3", '4': "ipv4", '6': "ipv6",
}

// An Option is one option of a command line, by its long name. A URL is an option url.
type Option struct {
	Name, Value string
	Spelled     string // as it was given: -k or --insecure
}

// readOptions reads the arguments of curl.
func readOptions(args []string) (options []Option, err error) {
	next := 0
	value := func(spelled string) (string, error) {
		if next == len(args) {
			return "", fmt.Errorf("%s needs a value", spelled)
		}
		next++
		return args[next-1], nil
	}
	urls := false // only URLs follow
	for next < len(args) {
		arg := args[next]
		next++
		switch {
		case urls || len(arg) < 2 || arg[0] != '-':
			options = append(options, Option{"url", arg, ""})
		case arg == "--":
			urls = true
		case strings.HasPrefix(arg, "--"):
			o := Option{arg[2:], "", arg}
			name := strings.TrimPrefix(o.Name, "no-")
			switch {
			case slices.Contains(valued, o.Name):
				if o.Value, err = value(arg); err != nil {
					return nil, err
				}
			case slices.Contains(switches, name):
			default:
				return nil, unknownOption(arg)
			}
			options = append(options, o)
		default:
			for rest := arg[1:]; rest != ""; {
				o := Option{letters[rest[0]], "", "-" + rest[:1]}
				if rest = rest[1:]; o.Name == "" {
					return nil, unknownOption(o.Spelled)
				}
				if slices.Contains(valued, o.Name) {
					if o.Value, rest = rest, ""; o.Value == "" {
						if o.Value, err = value(o.Spelled); err != nil {
							return nil, err
						}
					}
				}
				options = append(options, o)
			}
		}
	}
	return options, nil
}

func unknownOption(arg string) error {
	name, _, found := strings.Cut(arg, "=")
	if found && slices.Contains(valued, strings.TrimPrefix(name, "--")) {
		return fmt.Errorf("curl takes the value of %s as the next word, without an equals sign",
			name)
	}
	name, _, _ = strings.Cut(name, Mark) // the rest may be a secret
	return fmt.Errorf("curl has no option %.40q", name)
}
