// Package report says what became of a run. A Tally counts it: every worker feeds it, and it costs
// the same memory for ten items as for a million. What it counted is shown meanwhile as a
// progress.Snapshot, and at the end as a Summary, which is written for people (WriteText) and for
// programs (WriteJSON).
//
// No output carries a secret as long as the URLs that are passed in went through Redact and the
// error texts through RedactText. Texts that came from a server or a file name are stripped of
// control characters before they reach a terminal.
package report
