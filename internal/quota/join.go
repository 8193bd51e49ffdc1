package quota

import "github.com/penstock/penstock/throttle"

// Join has the upstreams of a transport obey the quota: from its first request where the rate is
// shared, and in full once the function returned is called for its key. That returns the upstream,
// and is called once for each. Join is called before the transport is used, and nothing else sets
// its LeaserFor.
func (q *Quota) Join(t *throttle.Transport) (upstream func(key string) *throttle.Upstream) {
	t.LeaserFor = func(string) throttle.Leaser {
		if r := q.Settings().Rate; r > 0 {
			return q.lender(r)
		}
		return nil
	}
	return func(key string) *throttle.Upstream {
		u := t.Upstream(key)
		q.Attach(u)
		return u
	}
}

// Check returns an error for what is no URL of a quota. It does not show the URL, which may have a
// password.
func Check(rawURL string) error {
	_, err := parse(rawURL)
	return err
}

// NameOf returns the name of the quota at a URL that Check has no error for.
func NameOf(rawURL string) string {
	t, err := parse(rawURL)
	if err != nil {
		return ""
	}
	return t.name
}
