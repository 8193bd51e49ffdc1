package send

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/penstock/penstock/internal/report"
	"github.com/penstock/penstock/internal/source"
	"github.com/penstock/penstock/retry"
)

const (
	// An answer is read to its end, so that its connection can be used again,
	// if that end comes soon.
	maxAnswer     = 256 << 10
	maxAnswerTime = 2 * time.Second
	// maxExcerpt is how much of a refusal's text is shown, and maxHead how much
	// of it is looked at: a secret that is cut in two is not recognised.
	maxExcerpt = 200
	maxHead    = 4 << 10
)

// A job is an item with a worker.
type job struct {
	item    source.Item
	began   time.Time // its first attempt left
	waiting bool      // for its next attempt
	server  *server   // that it was last sent to
}

type jobKey struct{}

// jobOf returns the job that a request was made for.
func jobOf(req *http.Request) *job {
	j, _ := req.Context().Value(jobKey{}).(*job)
	return j
}

// item sends one item. It is the pool's task: what becomes of the item is
// reported and not returned.
func (r *run) item(ctx context.Context, it source.Item) error {
	if r.ending.cause() != nil {
		return nil // it remains
	}
	if err := CheckMethod(it.Method); err != nil {
		r.done(it, report.Item{Status: report.Failed, Error: err.Error()})
		return nil
	}
	j := &job{item: it}
	req, err := r.request(context.WithValue(ctx, jobKey{}, j), j)
	if err != nil {
		r.done(it, report.Item{Status: report.Failed, Error: r.hide(it, Plain(err))})
		return nil
	}
	resp, err := r.client.Do(req)
	r.backingOff(j, false)
	r.moving.forget(j)
	out := r.outcome(j, resp, err)
	if out.Status == report.Deferred && j.began.IsZero() {
		return nil // the run ended before its turn: it remains
	}
	r.done(j.item, out)
	return nil
}

// request builds the item's request. Its body is opened at each attempt.
func (r *run) request(ctx context.Context, j *job) (*http.Request, error) {
	if j.item.Size >= large {
		ctx = r.moving.watch(ctx, j)
	}
	req, err := http.NewRequestWithContext(ctx, j.item.Method, j.item.URL, nil)
	if err != nil {
		return nil, err
	}
	if err := retry.SetFileBody(req, j.item.Path); err != nil {
		return nil, err
	}
	it := &j.item
	it.Size = req.ContentLength // it may have changed since it was found
	kind := r.ContentType
	switch {
	case r.Form != "":
		if info, err := os.Stat(it.Path); err == nil {
			it.ModTime = info.ModTime()
		}
		open, length, form := source.FormBody(r.Form, *it, req.GetBody)
		req.Body.Close()
		if req.Body, err = open(); err != nil {
			return nil, err
		}
		req.GetBody, req.ContentLength, kind = open, length, form
	case kind == "":
		kind = source.ContentType(it.Path)
	}
	req.Header = r.header(*it, kind)
	return req, nil
}

// header returns the headers of an item. Nobody changes the headers of a request
// that is not his, so items that have none of their own share them.
func (r *run) header(it source.Item, kind string) http.Header {
	foreign := r.foreign(it)
	own := it.Header != nil || it.Key != "" || r.Form != "" || foreign
	if h, ok := r.headers.Load(kind); ok && !own {
		return h.(http.Header)
	}
	h := http.Header{"User-Agent": {r.UserAgent}, "Content-Type": {kind}}
	if it.Key != "" {
		h.Set("Idempotency-Key", it.Key)
	}
	if !foreign {
		maps.Copy(h, r.Header)
	}
	maps.Copy(h, it.Header)
	if r.Form != "" {
		h.Set("Content-Type", kind) // with the form's boundary
	}
	if !own {
		r.headers.Store(kind, h)
	}
	return h
}

// outcome reads the answer and says what became of the job.
func (r *run) outcome(j *job, resp *http.Response, err error) report.Item {
	end := retry.OutcomeOf(resp, err)
	out := report.Item{HTTPStatus: end.Status, Attempts: end.Attempts}
	if !j.began.IsZero() {
		out.Seconds = time.Since(j.began).Seconds()
	}
	var text string
	if resp != nil {
		text = readAnswer(resp)
	}
	switch end.Outcome {
	case retry.Delivered:
		out.Status = report.Delivered
		if r.Form != "" && changed(j.item) { // of a plain body the client knows
			out.Status, out.Error = report.Failed, retry.ErrFileChanged.Error()
		}
		return out
	case retry.Unknown:
		out.Status = report.Unknown
	case retry.Deferred:
		out.Status = report.Deferred
	default:
		out.Status = report.Failed
	}
	r.mu.Lock()
	accepted := r.accepted
	r.mu.Unlock()
	if errors.Is(end.Err, retry.ErrUnreachable) && !accepted { // else it is this item's URL
		r.end(ExitUnavailable, fmt.Errorf("%w: check the URL, the proxy and the TLS settings", retry.ErrUnreachable))
	}
	if end.Err != nil {
		out.Error = r.hide(j.item, Plain(end.Err))
	}
	if cause := r.ending.cause(); cause != nil {
		// Why the run ends is said once, not with each item.
		out.Error = strings.TrimSuffix(out.Error, ": "+cause.Error())
	}
	if text = r.hide(j.item, text); !strings.Contains(out.Error, text) { // else it is but the status in words
		out.Error += ": " + strings.ToValidUTF8(text[:min(len(text), maxExcerpt)], "")
	}
	if out.Status == report.Deferred && !end.RetryAt.IsZero() && r.ending.cause() == nil {
		r.leftAlone(end.RetryAt)
	}
	return out
}

// hide makes a text about an item fit to be shown.
func (r *run) hide(it source.Item, text string) string {
	return newSecrets(it.Header, it.URL).redact(r.secrets.redact(text))
}

// changed reports whether the item's file is no longer what was to be sent.
func changed(it source.Item) bool {
	info, err := os.Stat(it.Path)
	return err != nil || info.Size() != it.Size || !info.ModTime().Equal(it.ModTime)
}

// readAnswer reads an answer to its end, within bounds, closes it, and returns
// its first line if that is text.
func readAnswer(resp *http.Response) string {
	body := resp.Body
	defer body.Close()
	if resp.ContentLength == 0 {
		return ""
	}
	timer := time.AfterFunc(maxAnswerTime, func() { body.Close() })
	defer timer.Stop()
	size := int64(maxHead)
	if resp.ContentLength > 0 {
		size = min(size, resp.ContentLength)
	}
	head := make([]byte, size)
	n, err := io.ReadFull(body, head)
	if err == nil {
		_, _ = io.CopyN(io.Discard, body, maxAnswer)
	}
	line, _, _ := strings.Cut(strings.TrimSpace(string(head[:n])), "\n")
	if strings.HasPrefix(line, "<") || strings.ContainsFunc(line, func(c rune) bool { return c < ' ' && c != '\t' && c != '\r' }) {
		return "" // a page or a picture says nothing to people here
	}
	return strings.TrimSpace(strings.ToValidUTF8(line, "?"))
}

// done reports the fate of an item.
func (r *run) done(it source.Item, out report.Item) {
	out.Path, out.Rel, out.Method, out.Key, out.Bytes = it.Path, it.Rel, it.Method, it.Key, it.Size
	if r.Results != nil || out.Status != report.Delivered { // else nobody reads it
		out.URL = report.Redact(it.URL)
	}
	r.tally.Item(out)
	if r.Results != nil {
		if err := r.Results.Write(out); err != nil {
			r.end(ExitLocal, fmt.Errorf("--results: %w", err))
		}
	}
	if out.Status != report.Delivered && out.Status != report.Skipped && r.ending.cause() == nil {
		r.Log.Debug(fmt.Sprintf("%s: %s: %s", it.Path, out.Status, out.Error))
	}

	r.mu.Lock()
	switch out.HTTPStatus {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusProxyAuthRequired:
		r.refusals++
	default:
		if out.HTTPStatus != 0 {
			r.refusals = 0
		}
	}
	refused := !r.accepted && r.refusals >= 10
	r.mu.Unlock()
	if refused {
		r.end(ExitRefused, fmt.Errorf("the first ten answers were %d and nothing was accepted: check the credentials", out.HTTPStatus))
	}
}

// CheckMethod returns an error for a method whose requests have no body, or none
// that means anything (RFC 9110, section 9.3).
func CheckMethod(method string) error {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodConnect, http.MethodTrace:
		return fmt.Errorf("%s carries no file: use PUT, POST or PATCH", method)
	}
	return nil
}
