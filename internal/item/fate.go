package item

import "fmt"

// A Fate is what became of an item. The journal, results and reports use the same ones, and spell
// them the same way.
type Fate uint8

// The fates of an item. The journal's index has three bits for one.
const (
	None      Fate = iota // nothing is recorded of it
	InFlight              // a request may be on its way, or was when the run ended
	Delivered             // the server accepted it, and that was read
	Failed                // it was not accepted, or could not be read, and is not tried again
	Unknown               // it may have been accepted
	Deferred              // the server wants it later, or the run ended before its turn
	Skipped               // it was delivered by an earlier run, or left out by a rule
)

var names = [...]string{"", "in_flight", "delivered", "failed", "unknown", "deferred", "skipped"}

// String returns the fate as files and flags spell it, for instance "in_flight". None is "".
func (f Fate) String() string {
	if int(f) < len(names) {
		return names[f]
	}
	return fmt.Sprintf("Fate(%d)", uint8(f))
}

// Parse is the inverse of [Fate.String] for all fates but None.
func Parse(name string) (Fate, error) {
	for i, known := range names[1:] {
		if name == known {
			return Fate(i + 1), nil
		}
	}
	return None, fmt.Errorf("no such status: %q", name)
}

// MarshalText returns what String does.
func (f Fate) MarshalText() ([]byte, error) { return []byte(f.String()), nil }

// UnmarshalText is the inverse of MarshalText.
func (f *Fate) UnmarshalText(text []byte) (err error) {
	if *f = None; len(text) > 0 {
		*f, err = Parse(string(text))
	}
	return err
}
