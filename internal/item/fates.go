package item

// Fates is a set of fates. The zero value is empty.
type Fates uint8

// FatesOf returns the set of these.
func FatesOf(fates ...Fate) (s Fates) {
	for _, f := range fates {
		s |= 1 << f
	}
	return s
}

// Select returns the fates that a user selects by a name, none where it is not known. What was in
// flight when its run was cut off may have been accepted, so "unknown" selects it too.
func Select(name string) Fates {
	switch f, err := Parse(name); {
	case err != nil || f == InFlight:
		return 0
	case f == Unknown:
		return FatesOf(Unknown, InFlight)
	default:
		return FatesOf(f)
	}
}

// Has reports whether f is in the set.
func (s Fates) Has(f Fate) bool { return s&(1<<f) != 0 }

// Choose reports whether a set that was selected chooses an item that earlier runs left as f. If
// empty, it chooses all.
func (s Fates) Choose(f Fate) bool { return s == 0 || s.Has(f) }

// List returns the fates in the order of their constants.
func (s Fates) List() (list []Fate) {
	for f := range Fate(len(names)) {
		if s.Has(f) {
			list = append(list, f)
		}
	}
	return list
}
