package send

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"

	"github.com/penstock/penstock/internal/nethttp"
	"github.com/penstock/penstock/internal/reply"
	"github.com/penstock/penstock/internal/rules"
	"github.com/penstock/penstock/internal/status"
	"github.com/penstock/penstock/internal/upstream"
	"github.com/penstock/penstock/throttle"
)

// Hosts are names of servers, in lower case, with a port where that is not the usual one.
type Hosts []string

var usualPorts = map[string]string{"http": ":80", "https": ":443"}

// Have reports whether a URL is of one of the hosts.
func (h Hosts) Have(u *url.URL) bool {
	scheme, host, _ := strings.Cut(nethttp.Origin(u), "://")
	return slices.Contains(h, host) || slices.Contains(h, host+usualPorts[scheme])
}

// redirected is the CheckRedirect of the client: of redirects to other servers it allows those to
// the ones that the user named.
func (r *run) redirected(next *http.Request, via []*http.Request) error {
	if nethttp.Origin(next.URL) != nethttp.Origin(via[0].URL) && !r.FollowTo.Have(next.URL) {
		return http.ErrUseLastResponse
	}
	return nil
}

// mayLead reports whether an answer to a job's request may lead to another request at once: what
// it says of its server is known when that has left, or retry has judged it.
func mayLead(e throttle.Event) bool {
	return e.Status == http.StatusTemporaryRedirect || e.Status == http.StatusPermanentRedirect
}

// followed records that a redirect of a job, if there was one, is followed to a server. The one
// that it is from neither accepted an item nor refused it: items count for the server that they end
// at.
func (r *run) followed(j *job, to *upstream.Server) {
	if e := j.answer; e != nil && mayLead(*e) {
		j.answer = nil
		r.count(*e, rules.None) // what a rule says is of the last answer
		j.server.LeadsTo(to)
	}
}

// astray are servers that redirects led to and that the user has not named.
type astray struct {
	mu    sync.Mutex
	hosts []string
}

// maxAstray is how many of them are named.
const maxAstray = 3

// leadsAstray returns the server that an answer leads to, and may not; "" if it leads to none.
func (r *run) leadsAstray(resp *http.Response) string {
	if resp == nil {
		return ""
	}
	to := reply.LeadsTo(resp)
	if to == nil || r.FollowTo.Have(to) {
		return ""
	}
	a := &r.astray
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.hosts) < maxAstray && !slices.Contains(a.hosts, to.Host) {
		a.hosts = append(a.hosts, to.Host)
	}
	return to.Host
}

// notes says what to do about redirects that were not followed.
func (a *astray) notes() (notes []string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, host := range a.hosts {
		notes = append(notes, status.NotFollowed(host))
	}
	return notes
}
