package send

import (
	"fmt"
	"net"
	"net/url"
	"strings"

	"github.com/penstock/penstock/internal/lab"
)

const labScheme = "lab:"

// IsLab reports whether the target is a practice server.
func IsLab(to string) bool { return strings.HasPrefix(to, labScheme) }

// StartLab starts the practice server that "lab:PRESET[/TEMPLATE][?params]"
// names and returns it with the URL template to send to. The caller closes it.
func StartLab(to string) (s *lab.Server, template string, err error) {
	spec, query, _ := strings.Cut(strings.TrimPrefix(to, labScheme), "?")
	preset, path, found := strings.Cut(spec, "/")
	if !found || path == "" {
		path = "{path}"
	}
	params, err := url.ParseQuery(query)
	if err != nil {
		return nil, "", fmt.Errorf("--to %s: parameters: %w", to, err)
	}
	if s, err = lab.New(preset, params); err != nil {
		return nil, "", err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, "", fmt.Errorf("practice server: %w", err)
	}
	s.Start(l)
	return s, "http://" + l.Addr().String() + "/" + path, nil
}
