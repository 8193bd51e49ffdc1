// Package matrix has only a test: it judges the controller of the package throttle on every kind of
// server at once, so that a change of a rule that helps one and harms another is seen. Each cell is
// a model of internal/lab with one or several clients, ten minutes of fake time long:
//
//	go test -v -run Matrix ./internal/matrix -table
//	cd internal/matrix && go test -table -seeds 5 -cells 'M1|M3|G.*'
//	cd internal/matrix && go test -cells M6 -seed 3 -lines m6.tsv
//	cd internal/matrix && go test -table -cells M1 -inflight 8
//
// A value that is worse than its goal fails the test. Where a goal is known not to be reached in
// five seeds, the cell says why, and fails where it gets worse yet; the table shows both the value
// and the goal. With -goals=false nothing of this fails.
//
// Nothing but public API is used: a client is an Upstream and more workers than can ever send at
// once, for whom there is always more to send. A cell and a seed give the same run every time.
//
// Where a cell has a number of items, its run ends when all are accepted, and is judged by how long
// that took, compared with the best fixed limit; -inflight measures what a fixed limit takes.
//
// What is deliverable follows from the model: threads or cores over the mean work, or the rate of
// the quota; nothing in an outage. An accepted request counts evenly over the time that the server
// worked on it. A cell's name with an exclamation mark behind it marks a run that was ended
// early, because its clients sent many times what the server can do.
package matrix
