// Package metrics shows the state of a run or a relay to Prometheus: by HTTP, or in a file for the
// node exporter. It counts nothing itself.
//
// Names follow the conventions of Prometheus: seconds and bytes, _total for what only grows. What
// is not known, or is no limit, has no metric.
package metrics

import (
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/penstock/penstock/internal/board"
	"github.com/penstock/penstock/internal/outfile"
)

// Prefix is what each file begins with.
const Prefix = "# HELP penstock_"

// Handler returns a handler that answers with the metrics of the state, and with those of the
// process. The state may be asked for concurrently.
func Handler(state func() board.State) http.Handler {
	all := registry(collector{state: state})
	all.MustRegister(collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return promhttp.HandlerFor(all, promhttp.HandlerOpts{})
}

func registry(c collector) *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(c)
	return r
}

// CheckFile is an error if [File] cannot write there, or would write over what is no such file.
func CheckFile(path string) error {
	if _, err := os.Stat(path); err == nil {
		return outfile.Replaceable(path, Prefix)
	}
	return outfile.Creatable(path)
}

// IsNamedWell reports whether the node exporter reads a file with that name.
func IsNamedWell(path string) bool { return filepath.Ext(path) == ".prom" }

// A File holds the metrics of a state for the node exporter, which others may read. It is replaced
// in one step.
type File struct {
	Path  string
	State func() board.State
}

// Write writes the metrics as they are now.
func (f File) Write() error { return f.write(collector{state: f.State}) }

// WriteEnd writes the last metrics, and that all has ended with that exit status.
func (f File) WriteEnd(at time.Time, status int) error {
	return f.write(collector{state: f.State, ended: at, status: status})
}

func (f File) write(c collector) error { return prometheus.WriteToTextfile(f.Path, registry(c)) }

// label makes a label's value, which is UTF-8, of a name that others gave. Names that differ have
// labels that differ: of two that are alike Prometheus would take neither.
func label(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	return strconv.QuoteToASCII(s)
}
