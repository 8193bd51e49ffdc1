// Package report tells what became of a run: to a person while it goes on
// (Progress), to a person at its end (Summary.WriteText), to programs at its
// end (WriteJSON) and item by item (Results).
//
// A Tally is fed by every worker and costs the same memory for ten items as
// for a million. Everything else reads from it: progress a few times a second
// through a Snapshot that a Meter completes, the summary once.
//
// No output carries a secret as long as the URLs that are passed in went
// through Redact and the error texts through RedactText. Texts that came from
// a server or a file name are stripped of control characters before they
// reach a terminal.
package report
