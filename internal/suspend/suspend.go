// Package suspend reports how long the machine was suspended, during which neither [time.Since] nor
// timers advance.
//
// The wall clock does not show it: a suspended machine and a clock that was set forward look alike.
package suspend
