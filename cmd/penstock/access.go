package main

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"math"
	"net/http"
	"os"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/penstock/penstock/internal/header"
	"github.com/penstock/penstock/internal/source"
	"github.com/penstock/penstock/internal/template"
	"github.com/penstock/penstock/internal/wire"
	"github.com/penstock/penstock/throttle"
)

// access are the flags that say who the user is, and how a server is reached.
type access struct {
	headers                []string
	headerFile, bearerFile string
	user                   string
	cacert, cert, key      string
}

// files are those that the flags name.
func (f *access) files() []string {
	return []string{f.headerFile, f.bearerFile, passwordFile(f.user), f.cacert, f.cert, f.key}
}

// credentials declares the flags for headers.
func (f *access) credentials(flags *pflag.FlagSet) {
	flags.StringArrayVarP(&f.headers, "header", "H", nil,
		"`HEADER` to send along, as 'Name: value'; may be repeated")
	flags.Var(text(&f.headerFile, "FILE"), "header-file", "headers to send along, one a line")
	flags.Var(text(&f.bearerFile, "FILE"), "bearer-file",
		"file with a bearer token; or set PENSTOCK_BEARER")
	flags.VarP(newValue(&f.user, "USER:@FILE", readUser), "user", "u",
		"user, and a file with the password; @FILE has both, as USER:PASSWORD")
}

// network declares the flags for the way to a server, but for its timeouts.
func (f *access) network(flags *pflag.FlagSet, to *wire.Network) {
	flags.BoolVar(&to.HTTP2, "http2", false, "speak HTTP/2 where the server does")
	flags.VarP(newValue(&to.Proxy, "URL", readProxy), "proxy", "x",
		"proxy (default by HTTPS_PROXY, HTTP_PROXY and NO_PROXY)")
	flags.Var(text(&f.cacert, "FILE"), "cacert", "certificates to trust instead of the system's")
	flags.Var(text(&f.cert, "FILE"), "cert",
		"our own certificate; it is shown to the server that gets the headers, and to no other")
	flags.Var(text(&f.key, "FILE"), "key", "its key")
}

// timeouts declares the flags for how long a server may be silent.
func timeouts(flags *pflag.FlagSet, to *wire.Network) {
	flags.Var(duration(&to.ConnectTimeout).or("10s"), "connect-timeout", "longest time to connect")
	flags.Var(duration(&to.StallTimeout).or("1m"), "stall-timeout",
		"longest time without a byte either way")
}

// pace declares the flags for the limits of a server.
func pace(flags *pflag.FlagSet, limits *throttle.Limits) {
	flags.Var(severalValues(&limits.Rate, "R", readPace), "rps",
		"requests a second, evenly spaced; 4, 0.5 or 3000/min; of several the slowest holds "+
			"(default: what the server takes)")
	flags.Var(newValue(&limits.Burst, "N", wholeNumber(math.MaxInt, "")), "burst",
		"requests that may leave at once after a lull (default 1)")
	flags.Var(newValue(&limits.InFlight, "N", wholeNumber(math.MaxInt, "auto")), "concurrency",
		"requests in flight; or auto: as many as the server takes (default auto)")
	flags.Var(newValue(&limits.Bandwidth, "B", readBandwidth), "bandwidth",
		"bytes a second for all transfers together; 10MiB/s (default no limit)")
}

// fixed declares the flag that takes them as they are.
func fixed(flags *pflag.FlagSet, limits *throttle.Limits) {
	flags.BoolVar(&limits.Fixed, "fixed", false,
		"take --rps and --concurrency as they are; else a server that refuses gets less")
}

// tlsConfig returns nil where no flag is about TLS.
func (f *access) tlsConfig() (*tls.Config, error) {
	if f.cacert == "" && f.cert == "" && f.key == "" {
		return nil, nil
	}
	config := &tls.Config{}
	if f.cacert != "" {
		pem, err := os.ReadFile(f.cacert)
		if err != nil {
			return nil, fmt.Errorf("--cacert: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("--cacert %s has no certificate in PEM form", f.cacert)
		}
	}
	if f.cert != "" || f.key != "" {
		// One file may hold both.
		own, err := tls.LoadX509KeyPair(cmp.Or(f.cert, f.key), cmp.Or(f.key, f.cert))
		if err != nil {
			return nil, fmt.Errorf("--cert and --key: %s", strings.TrimPrefix(err.Error(), "tls: "))
		}
		config.Certificates = []tls.Certificate{own}
	}
	return config, nil
}

// header gathers the headers from flags, files and the environment. Those with variables have their
// values in h as they were given, and are returned, too.
func (f *access) header() (h http.Header, filled []header.Field, err error) {
	lines, err := f.headerLines()
	if err != nil {
		return nil, nil, err
	}
	h = http.Header{}
	varies := make(map[string]bool)
	for _, l := range lines {
		name, value, ok := strings.Cut(l.text, ":")
		name, value = strings.TrimSpace(name), strings.TrimSpace(value)
		if !ok {
			return nil, nil, fmt.Errorf("%s has no colon: want 'Name: value'", l.where)
		}
		t, err := template.Parse(value, template.PlaceHeader)
		if err = cmp.Or(source.CheckHeader(name, value), err); err != nil {
			return nil, nil, fmt.Errorf("%s: %w", l.where, err)
		}
		name = http.CanonicalHeaderKey(name)
		filled = append(filled, header.Field{Name: name, Value: t})
		if len(t.Vars()) > 0 {
			varies[name] = true
		} else if text, _, err := t.Expand(nil, nil); err == nil {
			value = string(text)
		}
		h.Add(name, value)
	}
	filled = slices.DeleteFunc(filled, func(f header.Field) bool { return !varies[f.Name] })
	return h, filled, f.authorize(h)
}

// A headerLine is a header as it was given. It may be a secret: it is counted, not quoted.
type headerLine struct{ where, text string }

func (f *access) headerLines() (lines []headerLine, err error) {
	for i, text := range f.headers {
		lines = append(lines, headerLine{fmt.Sprintf("--header %d", i+1), text})
	}
	if f.headerFile != "" {
		text, err := readText(f.headerFile)
		if err != nil {
			return nil, fmt.Errorf("--header-file: %w", err)
		}
		for i, text := range strings.Split(text, "\n") {
			if strings.TrimSpace(text) != "" {
				where := fmt.Sprintf("--header-file %s: line %d", f.headerFile, i+1)
				lines = append(lines, headerLine{where, text})
			}
		}
	}
	return lines, nil
}
