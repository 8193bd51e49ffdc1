package source

// A Reason is why a file or a directory is left out.
type Reason int

// The reasons.
const (
	Excluded Reason = iota // by Options.Exclude
	Hidden                 // dot files and directories
	Leftover               // what editors leave behind: x~, #x#, .#x, .x.swp
	Links                  // symbolic links
	Loops                  // when following: links to a directory that they lie in
	Special                // pipes, sockets, devices
	Read                   // files that the run reads itself
	Written                // files that the run writes
	Young                  // by Options.MinAge
	reasons
)

// LeftOut counts by Reason what walked directories and globs held but did not yield. A directory
// that was left out counts once.
type LeftOut [reasons]int64

func (l *LeftOut) add(o LeftOut) {
	for why, n := range o {
		l[why] += n
	}
}

// An AllLeftOutError is about a glob that matches only what is left out.
type AllLeftOutError struct{ LeftOut LeftOut }

// Error returns one line.
func (e *AllLeftOutError) Error() string { return "matches no file to send" }

// leave counts what is left out.
func (iter *iteration) leave(why Reason, path string) {
	iter.leftOut[why]++
	if iter.onLeftOut != nil {
		iter.onLeftOut(path, why)
	}
}
