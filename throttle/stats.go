package throttle

import (
	"encoding/json"
	"math"

	"golang.org/x/time/rate"
)

// limited returns nil if r is no limit: as a number that would be the largest float64.
func limited(r rate.Limit) *rate.Limit {
	if r == rate.Inf {
		return nil
	}
	return &r
}

// MarshalJSON leaves Rate out if there is no limit.
func (s BucketStats) MarshalJSON() ([]byte, error) {
	type plain BucketStats
	return json.Marshal(struct {
		Rate *rate.Limit `json:",omitempty"`
		plain
	}{limited(s.Rate), plain(s)})
}

// MarshalJSON leaves Limit and Rate out if there is no limit.
func (s UpstreamStats) MarshalJSON() ([]byte, error) {
	type plain UpstreamStats
	limit := &s.Limit
	if s.Limit == math.MaxInt {
		limit = nil
	}
	return json.Marshal(struct {
		Limit *int        `json:",omitempty"`
		Rate  *rate.Limit `json:",omitempty"`
		plain
	}{limit, limited(s.Rate), plain(s)})
}

// UnmarshalJSON reads what MarshalJSON writes: without Rate there is no limit.
func (s *BucketStats) UnmarshalJSON(data []byte) error {
	type plain BucketStats
	p := plain{Rate: rate.Inf}
	if err := json.Unmarshal(data, &p); err != nil {
		return err
	}
	*s = BucketStats(p)
	return nil
}

// UnmarshalJSON reads what MarshalJSON writes: without Limit or Rate there is no such limit.
func (s *UpstreamStats) UnmarshalJSON(data []byte) error {
	type plain UpstreamStats
	p := plain{Limit: math.MaxInt, Rate: rate.Inf}
	if err := json.Unmarshal(data, &p); err != nil {
		return err
	}
	*s = UpstreamStats(p)
	return nil
}
