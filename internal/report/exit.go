package report

import (
	"github.com/penstock/penstock/internal/exit"
	"github.com/penstock/penstock/internal/stop"
)

// SetExit sets the exit status of a run that ended for that reason, nil if all work was done. Known
// says that no further items would have come, and gone is how many are missing that were seen
// before. It returns the reason, or nil if it came too late to matter.
func (s *Summary) SetExit(reason stop.Reason, known bool, gone int64) stop.Reason {
	s.ExitStatus = exit.Delivered
	if reason != nil {
		s.ExitStatus = reason.Exit()
	}
	done := s.Items.Delivered + s.Items.Skipped
	if known && done == s.Items.Total && s.ExitStatus != exit.Local {
		s.ExitStatus, reason = exit.Delivered, nil
	}
	switch {
	case s.ExitStatus != exit.Delivered:
	case s.Items.Failed+s.Items.Unknown > 0, gone > 0:
		s.ExitStatus = exit.Items
	case done < s.Items.Total:
		s.ExitStatus = exit.Unavailable
	}
	return reason
}
