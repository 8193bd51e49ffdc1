// Package report says what became of a run. A Tally counts it: every worker feeds it, and it costs
// the same memory for ten items as for a million. What it counted is shown meanwhile as a
// progress.Snapshot, and at the end as a Summary, which is written for people (WriteText) and for
// programs (WriteJSON).
//
// It hides no secrets: what is passed in went through package secret. Texts that came from a server
// or a file name are stripped of control characters before they reach a terminal.
package report
