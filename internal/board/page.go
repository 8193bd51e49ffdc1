package board

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/penstock/penstock/internal/human"
)

// maxShown is how many servers the page shows in full. The others have a line each.
const maxShown = 4

var (
	//go:embed page.css
	css string
	//go:embed page.js
	script string
	//go:embed page.html
	markup string
	//go:embed report.html
	reportHTML string

	// policy lets the page do what it does: what it has in it, and ask its own server.
	policy = "default-src 'none'; style-src " + hash(css) + "; script-src " + hash(script) +
		"; connect-src 'self'; base-uri 'none'; form-action 'none'"

	// templates are parsed when a page is shown: most runs show none.
	templates = sync.OnceValue(func() *template.Template {
		t := template.New("").Funcs(template.FuncMap{
			"css":    func() template.CSS { return template.CSS(css) },
			"script": func() template.JS { return template.JS(script) },
			"policy": func() string { return policy },
			"count":  func(n any) string { return count(n) },
			"span":   func(seconds float64) string { return human.Span(human.Seconds(seconds)) },
			"iso":    func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
			"words":  human.Printable,
		})
		return template.Must(template.Must(t.Parse(markup)).Parse(reportHTML))
	})
)

// hash is what a Content-Security-Policy allows a script or a style by.
func hash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

func count(n any) string {
	switch n := n.(type) {
	case int:
		return human.Count(n)
	case int64:
		return human.Count(n)
	}
	return ""
}

// A view is a state as the page shows it.
type view struct {
	*State
	Shown, Others []shown
}

// shown is a server on the page.
type shown struct {
	*Upstream
	Index int      // in the state
	Chart *drawing // if nil, nothing is known of the last minutes
	Now   time.Time
}

// UntilClock is when what holds the server's requests back ends, or when it is tried at the latest;
// "" if that is not known.
func (s shown) UntilClock() string {
	if s.Until.IsZero() {
		return ""
	}
	return human.InstantSeconds(s.Until, s.Now)
}

// IsStopped reports whether what holds its requests back is more than its pace.
func (s shown) IsStopped() bool { return s.Paused || s.Down }

// HasEnded reports whether it is over.
func (v *view) HasEnded() bool { return !v.Ended.IsZero() }

// Title is that of the page.
func (v *view) Title() string {
	title := "penstock " + v.Command
	if v.Items != nil {
		return fmt.Sprintf("%s of %s · %s", human.Count(v.Items.Delivered),
			human.Count(v.Items.Total), title)
	}
	return title
}

// UpFor is for how long it has been going on.
func (v *view) UpFor() string { return human.Clock(v.end().Sub(v.Started)) }

// Clock is when it was so.
func (v *view) Clock() string { return Instant(v.end()) }

// At is the time of a failure.
func (v *view) At(t time.Time) string { return human.InstantSeconds(t, v.Now) }

// Host is the server's name without its scheme.
func (s shown) Host() string {
	if _, host, ok := strings.Cut(s.Name, "://"); ok {
		return human.Printable(host)
	}
	return human.Printable(s.Name)
}

func (b *Board) viewLocked(s *State) *view {
	v := &view{State: s}
	busiest := slices.SortedStableFunc(slices.Values(s.Upstreams), func(a, b Upstream) int {
		return int(min(max(b.Sent-a.Sent, -1), 1))
	})
	least := int64(0)
	if len(busiest) > maxShown {
		least = busiest[maxShown-1].Sent
	}
	for i := range s.Upstreams {
		u := shown{Upstream: &s.Upstreams[i], Index: i, Now: s.Now}
		if u.Sent < least || len(v.Shown) == maxShown {
			v.Others = append(v.Others, u)
			continue
		}
		if series := b.series[u.Name]; series != nil {
			chart := series.chart()
			if !s.Ended.IsZero() {
				chart.Started = s.Ended.Add(-chart.span())
			}
			drawn := chart.draw()
			u.Chart = &drawn
		}
		v.Shown = append(v.Shown, u)
	}
	return v
}

// contentLocked returns what the page has, and what changes each second.
func (b *Board) contentLocked(s *State) []byte { return render("content", b.viewLocked(s)) }

func (b *Board) pageLocked(s *State) []byte { return render("page", b.viewLocked(s)) }

func render(name string, data any) []byte {
	var b bytes.Buffer
	if err := templates().ExecuteTemplate(&b, name, data); err != nil {
		panic(err) // the templates fit their data, as tests show
	}
	return b.Bytes()
}
