package report

import "time"

// Status is how an item ended. The values are those of the results file.
type Status string

const (
	Delivered Status = "delivered" // the server's acceptance was read
	Failed    Status = "failed"    // it was not accepted and will not be tried again
	Unknown   Status = "unknown"   // it may have been accepted; we cannot know
	Skipped   Status = "skipped"   // it was delivered before, or left out by a rule
	Deferred  Status = "deferred"  // the server asked for a longer wait than was allowed
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
	Status     Status    `json:"status"`
	HTTPStatus int       `json:"http_status"` // of the last answer, 0 if there was none
	Attempts   int       `json:"attempts"`
	Bytes      int64     `json:"bytes"`   // size of the item's body, whatever became of it
	Seconds    float64   `json:"seconds"` // from the first attempt to the end
	Error      string    `json:"error"`
	Note       string    `json:"note,omitempty"` // why it counts as it does, where that is not plain
}
