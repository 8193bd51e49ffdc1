// Package suspend reports how long the machine was suspended, during which neither [time.Since] nor
// timers advance.
//
// The wall clock cannot tell: a suspended machine and a clock that somebody set forward look alike.
package suspend
