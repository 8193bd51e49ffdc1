package cache

import (
	"math"
	"net/http"
	"time"

	"github.com/maypok86/otter/v2"
)

const (
	// maxVariants bounds the answers of one URL, which are searched one by one.
	maxVariants = 32

	// unsharedFor is for how long a URL whose answer could not be stored is fetched by each request
	// alone, instead of letting others wait for an answer that does not help them.
	unsharedFor = time.Minute

	// unsharedShare is the part of the store that is for remembering such URLs: one in 64 bytes.
	unsharedShare = 64
)

// A resource is what is stored of one URL: entries that differ in the headers that they vary with,
// the newest first. It does not change.
type resource struct{ entries []*entry }

// match returns the newest entry that is an answer to a request with these headers.
func (r *resource) match(h http.Header) *entry {
	if r != nil {
		for _, e := range r.entries {
			if alike(e.vary, h) {
				return e
			}
		}
	}
	return nil
}

// A store holds resources, bounded in bytes. Its methods are safe for concurrent use, but of the
// ones that write, one may run at a time.
type store struct {
	resources *otter.Cache[key, *resource]
	unshared  *otter.Cache[key, time.Time] // until when
}

func newStore(maxBytes int64) *store {
	small := maxBytes / unsharedShare
	return &store{
		resources: otter.Must(&otter.Options[key, *resource]{
			MaximumWeight: uint64(maxBytes - small),
			Weigher:       weigh,
		}),
		unshared: otter.Must(&otter.Options[key, time.Time]{
			MaximumWeight: uint64(max(1, small)),
			Weigher:       func(k key, _ time.Time) uint32 { return clamp(256 + k.size()) },
		}),
	}
}

func weigh(k key, r *resource) uint32 {
	n := 256 + k.size()
	for _, e := range r.entries {
		n += e.size()
	}
	return clamp(n)
}

func clamp(n int) uint32 { return uint32(min(uint64(n), math.MaxUint32)) }

func (s *store) get(k key) *resource {
	r, _ := s.resources.GetIfPresent(k)
	return r
}

// put stores an entry in place of those that the request could have been answered with.
func (s *store) put(k key, h http.Header, e *entry) {
	entries := []*entry{e}
	size := e.size()
	if r := s.get(k); r != nil {
		for _, old := range r.entries {
			if size += old.size(); len(entries) == maxVariants || size > math.MaxInt32 {
				break
			}
			if !alike(old.vary, h) {
				entries = append(entries, old)
			}
		}
	}
	k = k.clone()
	s.unshared.Invalidate(k)
	s.resources.Set(k, &resource{entries})
	// The library defers eviction by up to some hundred writes, which may be of megabytes each.
	s.resources.CleanUp()
}

// replace puts an entry in the place of another, or removes that if e is nil. It does nothing if
// the other has gone.
func (s *store) replace(k key, old, e *entry) {
	r := s.get(k)
	if r == nil {
		return
	}
	var entries []*entry
	found := false
	if e != nil {
		entries = append(entries, e)
	}
	for _, other := range r.entries {
		if other == old {
			found = true
		} else {
			entries = append(entries, other)
		}
	}
	switch {
	case !found:
	case len(entries) == 0:
		s.resources.Invalidate(k)
	default:
		s.resources.Set(k.clone(), &resource{entries})
		s.resources.CleanUp()
	}
}

// keepApart remembers that answers of this URL are not for sharing.
func (s *store) keepApart(k key, now time.Time) {
	s.unshared.Set(k.clone(), now.Add(unsharedFor))
	s.unshared.CleanUp()
}

func (s *store) apart(k key, now time.Time) bool {
	until, ok := s.unshared.GetIfPresent(k)
	return ok && now.Before(until)
}
