// Package progress shows a run while it goes on: as a bar, as lines for a log, or as JSON for a
// program (Sink). What it shows is a Snapshot, to which a Meter adds rates and the time left; a
// Timeline keeps a row of it for each second, to be plotted later.
//
// It counts nothing itself, and words nothing that the run knows better: what holds a run back is
// said in the Snapshot.
package progress
