// Package journal remembers on disk what was delivered and what was not, so that a run that was broken off can go on.
package journal
