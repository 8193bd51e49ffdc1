package send

import (
	"net/http"

	"github.com/penstock/penstock/internal/results"
	"github.com/penstock/penstock/internal/rules"
	"github.com/penstock/penstock/internal/status"
)

// capture returns what is kept of the answer to a delivered job, and what it lacks.
func (r *run) capture(j *job, resp *http.Response) (results.Captured, []rules.Missing) {
	object, missing := r.Captures.Of(resp, j.ruled)
	return results.Captured(object), missing
}

// lacks notes what the answer to a delivered job lacks. The first time it warns: there may be a
// million of them.
func (r *run) lacks(j *job, out *results.Result, missing []rules.Missing) {
	if len(missing) == 0 {
		return
	}
	r.lacking.Add(1)
	out.Note = status.NotCaptured(missing)
	r.toldLacked.Do(func() { r.Log.Warn(status.CaptureMissing(j.item.Path, missing)) })
}

// captureNothing notes that a job was found on its server: the answer to its request, with all that
// was to be kept of it, is lost.
func (r *run) captureNothing(out *results.Result) {
	if r.Captures.IsEmpty() {
		return
	}
	r.lacking.Add(1)
	out.Captured = "{}"
	out.Note += "; " + status.AnswerLost
}
