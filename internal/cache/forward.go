package cache

import (
	"net/http"
	"time"
)

// pass forwards a request that has nothing to do with what is stored, and invalidates what an
// unsafe one may have changed (RFC 9111, section 4.4).
func (t *Transport) pass(req *http.Request) (*http.Response, error) {
	resp, err := t.base().RoundTrip(req)
	if err != nil {
		return nil, err
	}
	s := standing{fwd: byMethod, status: resp.StatusCode}
	switch req.Method {
	case http.MethodGet, http.MethodHead, "":
		s.fwd = bypass
	case http.MethodOptions, http.MethodTrace:
	default:
		t.Changed(req, resp)
	}
	return t.marked(resp, s), nil
}

// Changed removes what the answer to an unsafe request says that it may have changed. It is for
// requests that did not come by the Transport, which must be on.
func (t *Transport) Changed(req *http.Request, resp *http.Response) {
	if resp.StatusCode < 200 || resp.StatusCode > 399 {
		return
	}
	t.invalidate(keyOf(req.URL, req.Host))
	for _, name := range []string{"Location", "Content-Location"} {
		if ref := resp.Header.Get(name); ref != "" {
			if k, ok := sameOrigin(req, ref); ok {
				t.invalidate(k)
			}
		}
	}
}

// marked adds a Cache-Status to an answer that the Base has given.
func (t *Transport) marked(resp *http.Response, s standing) *http.Response {
	if resp.Header == nil {
		resp.Header = http.Header{}
	}
	t.mark(resp.Header, s)
	return resp
}

// invalidate removes what is stored of a URL, and lets no fetch that has begun store its answer.
func (t *Transport) invalidate(k key) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.store.resources.Invalidate(k)
	for _, f := range t.mu.flights[k] {
		f.void = true
	}
	delete(t.mu.flights, k)
}

// part forwards a Range request of which the whole is not stored, as it is. Its answer is not
// stored.
func (t *Transport) part(a *ask) (*http.Response, error) {
	resp, err := t.base().RoundTrip(a.req)
	if instead := t.instead(a, resp, err); instead != nil {
		return instead, nil
	}
	if err != nil {
		return nil, err
	}
	return t.marked(resp, standing{fwd: a.why, status: resp.StatusCode}), nil
}

// instead returns the stale answer that may be given in place of a failure. It returns nil if there
// is none, or no failure. It closes the body of what it replaces.
func (t *Transport) instead(a *ask, resp *http.Response, err error) *http.Response {
	now := time.Now()
	if err == nil && !failed(resp.StatusCode) || a.req.Context().Err() != nil ||
		!a.entry.standsIn(&a.wish, now) {
		return nil
	}
	s := standing{fwd: a.why, detail: ifError}
	if resp != nil {
		s.status = resp.StatusCode
		resp.Body.Close()
	}
	t.counts.stale.Add(1)
	return t.serve(a.req, a.entry, now, s)
}

// head forwards a HEAD, as a revalidation of what is stored if it can be one (RFC 9111, section
// 4.3.5).
func (t *Transport) head(a *ask) (*http.Response, error) {
	out, sent := timed(a.req.Clone(a.req.Context()))
	if a.entry != nil {
		a.entry.condition(out.Header)
	}
	old := a.entry
	resp, err := t.base().RoundTrip(out)
	if err == nil && resp.StatusCode == http.StatusNotModified && old != nil &&
		!old.validates(resp.Header) {
		resp.Body.Close()
		t.supersede(a.key, old)
		old, a.entry = nil, nil
		resp, err = t.base().RoundTrip(a.req)
	}
	if instead := t.instead(a, resp, err); instead != nil {
		return instead, nil
	}
	if err != nil {
		return nil, err
	}
	now := time.Now()
	dated(resp, now)
	s := standing{fwd: a.why, status: resp.StatusCode}
	switch {
	case old == nil,
		resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusNotModified:
	case resp.StatusCode == http.StatusNotModified:
		resp.Body.Close()
		j := t.freshen(a.key, old, out, &a.wish, resp, sent.at(), now)
		s.stored = j.storable
		return t.serve(a.req, j.entry, now, s), nil
	case old.etag == resp.Header.Get("Etag") && old.modified == resp.Header.Get("Last-Modified") &&
		(old.etag != "" || old.modified != "") &&
		(resp.ContentLength < 0 || resp.ContentLength == int64(len(old.body))):
		t.freshen(a.key, old, out, &a.wish, resp, sent.at(), now)
	default:
		t.supersede(a.key, old)
	}
	resp.Request = a.req
	if notModified(a.req, resp.StatusCode, resp.Header) {
		resp.Body.Close()
		resp = unchanged(a.req, resp)
	}
	return t.marked(resp, s), nil
}

// freshen makes of an entry and a 304, or the like, the entry as it is now, and stores it if it
// may.
func (t *Transport) freshen(k key, old *entry, out *http.Request, w *wish, resp *http.Response,
	asked, now time.Time,
) judgement {
	j := policy{t.TTL, t.StaleIfError}.judge(out, w, &http.Response{
		StatusCode: old.status, Proto: old.proto, ProtoMajor: old.major, ProtoMinor: old.minor,
		Uncompressed: old.uncompressed, Header: old.merged(resp.Header),
	}, asked, now)
	j.entry = j.entry.with(old.body)
	t.counts.revalidated.Add(1)
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case j.storable:
		t.store.replace(k, old, j.entry)
	case !j.personal:
		t.store.replace(k, old, nil)
	}
	return j
}

// dated adds a Date to an answer without one (RFC 9110, section 6.6.1).
func dated(resp *http.Response, now time.Time) {
	if resp.Header == nil {
		resp.Header = http.Header{}
	}
	if len(resp.Header["Date"]) == 0 {
		resp.Header["Date"] = []string{now.UTC().Format(http.TimeFormat)}
	}
}

// unconditional removes the conditions that a cache evaluates.
func unconditional(h http.Header) {
	h.Del("If-None-Match")
	h.Del("If-Modified-Since")
}

// condition makes a request one that asks whether the entry is still right.
func (e *entry) condition(h http.Header) {
	unconditional(h)
	if e.etag != "" {
		h.Set("If-None-Match", e.etag)
	}
	if e.modified != "" {
		h.Set("If-Modified-Since", e.modified)
	}
}
