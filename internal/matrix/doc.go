// Package matrix has only a test: it judges the controller of the package
// throttle on every kind of server at once, so that a change of a rule that helps
// one and harms another is seen. Each cell is a model of internal/lab with one or
// several clients, run on fake time:
//
//	cd internal/matrix; go test -table
//	go test -table -seeds 5 -cells 'M1|M3' -goals
//	go test -cells M6 -seed 3 -lines m6.tsv
//
// Nothing but public API is used: a client is an Upstream and as many workers as
// are never too few, for whom there is always more to send.
package matrix
