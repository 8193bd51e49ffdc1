package main

import (
	"bytes"
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/internal/outfile"
	"github.com/penstock/penstock/internal/report"
	"github.com/penstock/penstock/internal/source"
)

// check returns an error for flags that do not go together.
func (f *sendFlags) check(paths []string) error {
	from, limits := &f.source, &f.run.Limits
	why := ""
	switch {
	case f.to == "" && from.Manifest == "":
		why = `where to? Give --to URL, such as --to "https://api.example.com/files/{name}"`
	case len(paths) == 0 && from.Manifest == "":
		why = "what to send? Name files, directories or globs, " +
			"or - to read paths from standard input"
	case from.Null && !slices.Contains(paths, "-"):
		why = "--null is about the list on standard input: give - as a PATH"
	case f.noJournal && (f.job != "" || f.journal != ""):
		why = "--no-journal and --job or --journal: leave out one of them"
	case f.job != "" && f.journal != "":
		why = "--job and --journal both name the journal: leave out one of them"
	case from.From != "" && from.Only == nil:
		why = "--from needs --only: say which of its items to send, such as --only failed,unknown"
	case limits.Fixed && limits.InFlight == 0 && limits.Rate == 0:
		why = "--fixed needs a pace to keep to: give --rps or --concurrency"
	case f.results == "-" && f.report == "-":
		why = "--results and --report: only one of them can go to standard output"
	case f.results != "" && f.report != "" && outfile.Same(f.results, f.report):
		why = "--results and --report name one file: one would overwrite the other"
	case f.quiet && f.verbose:
		why = "--quiet and --verbose: leave out one of them"
	case f.report != "" && f.report != "-":
		if err := report.CheckJSON(f.report); err != nil {
			return fmt.Errorf("--report: %w", err)
		}
	}
	if why != "" {
		return errors.New(why)
	}
	return f.command.strayValue()
}

// complete fills in what several flags say together, and what files say.
func (f *sendFlags) complete() (err error) {
	o := &f.run
	o.UserAgent = "penstock/" + strings.Trim(version(), "()")
	o.ResendUnknown = o.ResendUnknown || slices.Contains(f.source.Only, item.Unknown)
	if o.Again.IsZero() && slices.Contains(f.source.Only, item.Delivered) {
		o.Again = time.Now()
	}
	if o.Limits.Fixed && o.Limits.InFlight == 0 {
		o.Limits.InFlight = 256
	}
	if o.Header, err = f.header(); err != nil {
		return err
	}
	if o.Form != "" && cmp.Or(o.ContentType, o.Header.Get("Content-Type")) != "" {
		return errors.New("--form and a content type: a form's type is multipart/form-data; " +
			"leave out one of them")
	}
	if key := o.Idempotency.Header; key != "" {
		if err := source.CheckHeader(key, ""); err != nil {
			return fmt.Errorf("--idempotent: %w", err)
		}
		if len(o.Header.Values(key)) > 0 {
			return fmt.Errorf("--idempotent and a header %s: all files would have one key, "+
				"and the server would keep one of them; leave out one of the two", key)
		}
		o.Idempotency.Bare = f.keyFormat == "bare" ||
			f.keyFormat == "" && !strings.EqualFold(key, usualKeyHeader)
		f.source.KeyHeader = key
	}
	o.Network.TLS, err = f.tlsConfig()
	return err
}

// tlsConfig returns nil where no flag is about TLS.
func (f *sendFlags) tlsConfig() (*tls.Config, error) {
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

// header gathers the headers from flags, files and the environment.
func (f *sendFlags) header() (http.Header, error) {
	h := http.Header{}
	type line struct{ where, text string } // it may be a secret: it is counted, not quoted
	var lines []line
	for i, text := range f.headers {
		lines = append(lines, line{fmt.Sprintf("--header %d", i+1), text})
	}
	if f.headerFile != "" {
		text, err := readText(f.headerFile)
		if err != nil {
			return nil, fmt.Errorf("--header-file: %w", err)
		}
		for i, text := range strings.Split(text, "\n") {
			if strings.TrimSpace(text) != "" {
				where := fmt.Sprintf("--header-file %s: line %d", f.headerFile, i+1)
				lines = append(lines, line{where, text})
			}
		}
	}
	for _, l := range lines {
		name, value, ok := strings.Cut(l.text, ":")
		name, value = strings.TrimSpace(name), strings.TrimSpace(value)
		if !ok {
			return nil, fmt.Errorf("%s has no colon: want 'Name: value'", l.where)
		}
		err := cmp.Or(source.CheckHeader(name, value), source.CheckNoVariable(value))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", l.where, err)
		}
		h.Add(name, value)
	}
	token, from := os.Getenv("PENSTOCK_BEARER"), "PENSTOCK_BEARER"
	if f.bearerFile != "" {
		text, err := readText(f.bearerFile)
		if err != nil {
			return nil, fmt.Errorf("--bearer-file: %w", err)
		}
		token, from = strings.TrimPrefix(strings.TrimSpace(text), "Bearer "), "--bearer-file"
		token = strings.TrimSpace(token)
		if token == "" {
			return nil, fmt.Errorf("--bearer-file %s is empty", f.bearerFile)
		}
	}
	if token == "" || (from == "PENSTOCK_BEARER" && h.Get("Authorization") != "") {
		return h, nil
	}
	if h.Get("Authorization") != "" {
		return nil, errors.New("--bearer-file and an Authorization header: leave out one of them")
	}
	if err := source.CheckHeader("Authorization", "Bearer "+token); err != nil {
		return nil, fmt.Errorf("%s: %w", from, err)
	}
	h.Set("Authorization", "Bearer "+token)
	return h, nil
}

// readText reads a file that a person wrote. Some editors begin it with a byte order mark, which is
// no part of the text.
func readText(name string) (string, error) {
	text, err := os.ReadFile(name)
	if err != nil && name == "-" {
		return "", errors.New("standard input is not read for this: name a file")
	}
	if err != nil {
		return "", err
	}
	if bytes.HasPrefix(text, []byte("\xff\xfe")) || bytes.HasPrefix(text, []byte("\xfe\xff")) {
		return "", fmt.Errorf("%s is in UTF-16: save it as UTF-8", name)
	}
	return strings.TrimPrefix(string(text), "\ufeff"), nil
}
