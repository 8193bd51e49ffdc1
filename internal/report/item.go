package report

import (
	"time"

	"github.com/penstock/penstock/internal/item"
)

// Item is one line of the results file, and what a Tally counts.
// URL and Error must hold no secret: see Redact and RedactText.
type Item struct {
	Time       time.Time `json:"-"` // when it ended, which its line says as text
	Path       string    `json:"path"`
	Rel        string    `json:"rel"` // {path}: rebuilds a URL that was redacted
	URL        string    `json:"url"`
	Method     string    `json:"method"`
	Key        string    `json:"key"`                // idempotency key, empty if none was sent
	KeyMade    bool      `json:"key_made,omitempty"` // by the run, of the file's content among others; else it was given
	Status     item.Fate `json:"status"`
	HTTPStatus int       `json:"http_status"` // of the last answer, 0 if there was none
	Attempts   int       `json:"attempts"`
	Bytes      int64     `json:"bytes"`   // size of the item's body, whatever became of it
	Seconds    float64   `json:"seconds"` // from the first attempt to the end
	Error      string    `json:"error"`
	Note       string    `json:"note,omitempty"` // why it counts as it does, where that is not plain
}
