package progress

import (
	"encoding/json"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/penstock/penstock/internal/human"
)

const jsonEvery = time.Second

// progressLine is an update as NDJSON, for a program that draws its own picture. Fields are added,
// never renamed. Null means not known, or none.
type progressLine struct {
	Type              string    `json:"type"` // "progress"
	Time              time.Time `json:"time"`
	ElapsedSeconds    float64   `json:"elapsed_seconds"`
	Total             *int64    `json:"total"` // null while the source may still yield items
	Delivered         int64     `json:"delivered"`
	Failed            int64     `json:"failed"`
	Unknown           int64     `json:"unknown"`
	Skipped           int64     `json:"skipped"`
	Deferred          int64     `json:"deferred"`
	Bytes             int64     `json:"bytes"`       // delivered, skipped or under way
	TotalBytes        *int64    `json:"total_bytes"` // null also if sizes are not known
	Sent              int64     `json:"sent"`
	RequestsPerSecond float64   `json:"requests_per_second"`
	FilesPerSecond    float64   `json:"files_per_second"`
	BytesPerSecond    float64   `json:"bytes_per_second"`
	InFlight          int       `json:"in_flight"`
	Waiting           int       `json:"waiting"`
	Ceiling           Optional  `json:"ceiling"`         // requests a second
	InFlightLimit     Optional  `json:"in_flight_limit"` // requests in flight
	Learned           Learned   `json:"learned"`         // of these, what the user did not give
	PauseSeconds      Optional  `json:"pause_seconds"`   // until sending goes on
	ETASeconds        Optional  `json:"eta_seconds"`
	Limit             Limit     `json:"limit"`   // a key of the report's waited_seconds, or ""
	Holding           string    `json:"holding"` // the same for people
}

// jsonLines writes an object an update, at most one a second, and the last state on Close.
type jsonLines struct {
	mu      sync.Mutex
	enc     *json.Encoder
	due     time.Time
	pending *Snapshot // not written yet
	closed  bool
}

func newJSONLines(w io.Writer) *jsonLines {
	return &jsonLines{enc: human.NewEncoder(w)}
}

func (j *jsonLines) Update(s Snapshot) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.closed {
		return
	}
	j.pending = &s
	if now := time.Now(); !now.Before(j.due) {
		j.due = now.Add(jsonEvery)
		j.writeLocked()
	}
}

func (j *jsonLines) writeLocked() {
	s := j.pending
	j.pending = nil
	if s == nil {
		return
	}
	p := progressLine{
		Type:              "progress",
		Time:              time.Now().UTC().Round(time.Millisecond),
		ElapsedSeconds:    Round(s.Elapsed.Seconds(), 3),
		Delivered:         s.Delivered,
		Failed:            s.Failed,
		Unknown:           s.Unknown,
		Skipped:           s.Skipped,
		Deferred:          s.Deferred,
		Bytes:             s.Bytes,
		Sent:              s.Sent,
		RequestsPerSecond: Round(s.Rate, 3),
		FilesPerSecond:    Round(s.FilesPerSecond, 3),
		BytesPerSecond:    Round(s.BytesPerSecond, 0),
		InFlight:          s.InFlight,
		Waiting:           s.Waiting,
		Ceiling:           Optional(Round(s.Ceiling, 3)),
		InFlightLimit:     Optional(s.InFlightLimit),
		Learned:           s.Learned,
		PauseSeconds:      Optional(Round(s.Pause.Seconds(), 3)),
		ETASeconds:        Optional(Round(s.ETA.Seconds(), 0)),
		Limit:             s.Limit,
		Holding:           s.Holding,
	}
	if p.Learned.Trying {
		p.Learned.Rate = 0
	}
	if s.KnownTotal {
		p.Total = &s.Total
		if s.TotalBytes > 0 {
			p.TotalBytes = &s.TotalBytes
		}
	}
	_ = j.enc.Encode(p)
}

// Log keeps the stream NDJSON: a log line that is not a JSON object already, as slog writes it, is
// wrapped in one.
func (j *jsonLines) Log(line string) {
	line = strings.TrimRight(line, "\r\n")
	j.mu.Lock()
	defer j.mu.Unlock()
	if strings.HasPrefix(line, "{") && json.Valid([]byte(line)) {
		_ = j.enc.Encode(json.RawMessage(line))
		return
	}
	_ = j.enc.Encode(struct {
		Type    string    `json:"type"`
		Time    time.Time `json:"time"`
		Message string    `json:"message"`
	}{"log", time.Now().UTC().Round(time.Millisecond), line})
}

func (j *jsonLines) Close() {
	j.mu.Lock()
	defer j.mu.Unlock()
	if !j.closed {
		j.closed = true
		j.writeLocked()
	}
}
