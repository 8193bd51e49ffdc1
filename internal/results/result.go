// Package results writes and reads the results of a run: a line of JSON for each item that ended.
// It also says which items such lines select for another run.
//
// It redacts nothing: what is in a [Result] is written as it is.
package results

import (
	"encoding/json"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/penstock/penstock/internal/item"
)

// Version is that of the lines that programs write to a run, a manifest's, and read from it,
// which are results: see examples/stream. It grows when a line that was right before is so no more.
const Version = 1

// A Result is how an item ended. URL and Error must hold no secret.
type Result struct {
	Time       time.Time `json:"-"`              // when it ended, which its line says as text
	Line       int       `json:"line,omitempty"` // of the manifest
	Path       string    `json:"path"`
	Rel        string    `json:"rel"` // {path}: rebuilds a URL that was redacted
	URL        string    `json:"url"`
	Method     string    `json:"method"`
	Key        string    `json:"key"`                // the line's, or the one that was sent
	KeyMade    bool      `json:"key_made,omitempty"` // by the run, of the content
	Status     item.Fate `json:"status"`
	HTTPStatus int       `json:"http_status"` // of the last answer, 0 if there was none
	Attempts   int       `json:"attempts"`
	Bytes      int64     `json:"bytes"`   // size of the item's body, whatever became of it
	Seconds    float64   `json:"seconds"` // from the first attempt to the end
	Error      string    `json:"error"`
	Note       string    `json:"note,omitempty"` // why it counts as it does

	// Captured is what the answer said, where that was asked for, and DeliveredAt when it came; of
	// a skipped item both are of the run that delivered it.
	Captured    Captured  `json:"captured,omitempty"`
	DeliveredAt time.Time `json:"-"`
}

// Captured is a JSON object: what an answer said, by the names that the user gave. If "", nothing
// was asked for; an object without fields says that nothing was there.
type Captured string

// IsValid reports whether c is a JSON object.
func (c Captured) IsValid() bool {
	return strings.HasPrefix(string(c), "{") && json.Valid([]byte(c))
}

// MarshalJSON returns the object as it is.
func (c Captured) MarshalJSON() ([]byte, error) { return []byte(c), nil }

// UnmarshalJSON is the reverse of MarshalJSON.
func (c *Captured) UnmarshalJSON(text []byte) error {
	*c = Captured(text)
	return nil
}

// A line is a Result as the file has it. A name that is not UTF-8 cannot be written in JSON, and is
// given once more.
type line struct {
	Type string `json:"type"`
	V    int    `json:"v"`              // Version
	Time string `json:"time,omitempty"` // RFC 3339, in UTC, to the millisecond
	Result
	PathBytes   []byte `json:"path_base64,omitempty"`
	RelBytes    []byte `json:"rel_base64,omitempty"`
	DeliveredAt string `json:"delivered_at,omitempty"` // as time
}

func lineOf(r Result) line {
	l := line{Type: "item", V: Version, Time: instant(r.Time), Result: r,
		DeliveredAt: instant(r.DeliveredAt)}
	if !utf8.ValidString(r.Path) {
		l.PathBytes = []byte(r.Path)
	}
	if !utf8.ValidString(r.Rel) {
		l.RelBytes = []byte(r.Rel)
	}
	return l
}

func instant(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02T15:04:05.000Z")
}
