package upstream

import (
	"net/http"
	"time"

	"github.com/penstock/penstock/internal/stop"
)

const (
	// fewAlike answers in a row that refuse the account are enough: they do not depend on the item.
	fewAlike = 10
	// manyAlike are needed of other answers, which may be about these items.
	manyAlike = 20
)

// alike counts how one server refuses item after item, since it last accepted one.
type alike struct {
	status int       // of the last answer
	row    int       // items that got it, one after the other
	since  time.Time // when the first of them did
	dir    string    // where that is
	dirs   bool      // another of them is elsewhere

	doubts   int       // items that came into doubt, but those in flight at the first
	doubtful time.Time // when the first of them did
}

// AboutAccount reports whether a status refuses the account, the same for every item.
func AboutAccount(status int) bool {
	switch status {
	case http.StatusUnauthorized, http.StatusPaymentRequired, http.StatusProxyAuthRequired,
		http.StatusInsufficientStorage:
		return true
	}
	return false
}

// accept records a request that was accepted. It ends the row unless it was sent before the first
// refusal.
func (a *alike) accept(sent time.Time) {
	a.doubts = 0
	if !sent.Before(a.since) {
		a.row = 0
	}
}

// many reports whether so many items were refused that the server may refuse all. It is given up if
// it also refuses the newest of those that are left.
func (a *alike) many() bool { return a.row >= manyAlike && !AboutAccount(a.status) }

// A Row is a series of items that a server refused with one status, since it last accepted one.
type Row struct {
	Status int  // of the last answer
	Items  int  // that got it, one after the other
	Spread bool // over several directories
	Many   bool // so many that the server may refuse all
	Enough bool // so many that it gets no more: they refuse the account
	Before bool // it has accepted others before the row
}

// Refuse records that the server refused an item of that directory for good.
func (s *Server) Refuse(dir string, status int) Row {
	s.set.mu.Lock()
	defer s.set.mu.Unlock()
	a := &s.alike
	if status != a.status || a.row == 0 {
		a.status, a.row, a.since, a.dir, a.dirs = status, 0, time.Now(), dir, false
	}
	a.row++
	a.dirs = a.dirs || dir != a.dir
	return s.rowLocked()
}

// Row returns how the server refuses item after item.
func (s *Server) Row() Row {
	s.set.mu.Lock()
	defer s.set.mu.Unlock()
	return s.rowLocked()
}

func (s *Server) rowLocked() Row {
	a := &s.alike
	return Row{
		Status: a.status, Items: a.row, Spread: a.dirs, Many: a.many(), Before: s.accepted > 0,
		Enough: AboutAccount(a.status) && a.row >= fewAlike,
	}
}

// EndRow records that an item failed otherwise.
func (s *Server) EndRow() {
	s.set.mu.Lock()
	defer s.set.mu.Unlock()
	s.alike.row = 0
}

// Doubt records that an item, which was sent at that instant, may have been accepted. If that
// happens to many in a row, the server gets no more.
func (s *Server) Doubt(sent time.Time) {
	if s.doubts(sent) >= manyAlike {
		s.set.Shut(s, stop.InDoubt{})
	}
}

// doubts counts an item that came into doubt, and returns how many did in a row.
func (s *Server) doubts(sent time.Time) int {
	s.set.mu.Lock()
	defer s.set.mu.Unlock()
	a := &s.alike
	// Items that were in flight together count as one.
	if a.doubts == 0 || sent.After(a.doubtful) {
		if a.doubts++; a.doubts == 1 {
			a.doubtful = time.Now()
		}
	}
	return a.doubts
}

// MayRefuse reports whether the server may refuse all, and whether items of that directory are
// among those: while all that it has refused are in one directory, only these.
func (s *Server) MayRefuse(dir string) (server, item bool) {
	s.set.mu.Lock()
	defer s.set.mu.Unlock()
	a := &s.alike
	if s.gone != nil || !a.many() {
		return false, false
	}
	return true, a.dirs || dir == a.dir
}

// RefusesAll reports whether a server has refused so many items that it gets no more: also of other
// directories, or if it has accepted nothing, or if alone, as there are no other directories.
func (s *Server) RefusesAll(alone bool) bool {
	s.set.mu.Lock()
	defer s.set.mu.Unlock()
	return s.gone == nil && s.alike.many() && (s.alike.dirs || alone || s.accepted == 0)
}

// AnyMayRefuse reports whether a server may refuse all.
func (set *Set) AnyMayRefuse() bool {
	for _, s := range set.All() {
		if is, _ := s.MayRefuse(""); is {
			return true
		}
	}
	return false
}
