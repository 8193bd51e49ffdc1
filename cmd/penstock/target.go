package main

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"

	"github.com/penstock/penstock/internal/lab"
)

const labScheme = "lab:"

// isLab reports whether a target is a practice server.
func isLab(to string) bool { return strings.HasPrefix(to, labScheme) }

// startLab starts the practice server that "lab:PRESET[/TEMPLATE][?params]" names. It returns the
// server, which the caller closes, and the URL template to send to.
func startLab(to string) (s *lab.Server, template string, err error) {
	spec, query, _ := strings.Cut(strings.TrimPrefix(to, labScheme), "?")
	preset, path, found := strings.Cut(spec, "/")
	if !found || path == "" {
		path = "{path}"
	}
	params, err := url.ParseQuery(query)
	if err != nil {
		return nil, "", fmt.Errorf("--to %s: parameters: %w", to, err)
	}
	if s, err = newLab(preset, params); err != nil {
		return nil, "", err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, "", fmt.Errorf("practice server: %w", err)
	}
	s.Start(l)
	return s, "http://" + l.Addr().String() + "/" + path, nil
}

// newLab returns a practice server, or an error that says which name was probably meant.
func newLab(preset string, params url.Values) (*lab.Server, error) {
	s, err := lab.New(preset, params)
	if unknown, ok := errors.AsType[*lab.UnknownError](err); ok {
		similar := suggest(unknown.Name, unknown.Known)
		otherwise := "choose from " + strings.Join(unknown.Known, ", ")
		return nil, fmt.Errorf("%w; %s", err, meant(similar, otherwise))
	}
	return s, err
}
