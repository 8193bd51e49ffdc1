// Package lines reads files that have one thing a line: a path, or a strict JSON object.
//
// It does not know what the fields of an object mean.
package lines

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"io/fs"
	"iter"
)

// MaxLen is the length of the longest line, in bytes.
const MaxLen = 1 << 20

// ErrLong is the error for a line that is longer than MaxLen, and passed over.
var ErrLong = errors.New("the line is longer than 1 MiB")

// A Line is a line without its end.
type Line struct {
	Number int    // from 1
	Text   []byte // valid until the next line
	Cut    bool   // the input ends without ending the line
}

// Each yields the lines that are not blank. It tolerates a UTF-8 byte order mark and CR LF, as
// Windows writes them. With null a NUL ends each line, and what is between two is yielded as it is.
//
// A line that is too long is yielded as an error, with its number, and passed over: those after it
// follow. An error of r is yielded last, with the number of the line that it has cut off.
func Each(r io.Reader, null bool) iter.Seq2[Line, error] {
	return func(yield func(Line, error) bool) {
		end := byte('\n')
		if null {
			end = 0
		}
		in := reader{buf: bufio.NewReader(r), end: end}
		for n := 1; ; n++ {
			text, ended, err := in.next()
			switch {
			case err == ErrLong:
				if !yield(Line{Number: n}, err) {
					return
				}
				continue
			case err != nil:
				yield(Line{Number: n}, Reason(err))
				return
			case !ended && len(text) == 0:
				return
			}
			if !null {
				text = bytes.TrimSuffix(text, []byte("\r"))
				if n == 1 {
					text = bytes.TrimPrefix(text, []byte("\ufeff"))
				}
			}
			if len(text) > MaxLen {
				if !yield(Line{Number: n}, ErrLong) {
					return
				}
				continue
			}
			blank := len(text) == 0 || !null && len(bytes.TrimSpace(text)) == 0
			if !blank && !yield(Line{n, text, !ended && !null}, nil) || !ended {
				return
			}
		}
	}
}

// A reader reads one line after another.
type reader struct {
	buf  *bufio.Reader
	end  byte
	line []byte // reused
}

// next returns the next line without its end, and whether it had one. It is valid until the next
// call. The memory for it is bounded: where it is too long, the error is ErrLong, and the line is
// passed over.
func (r *reader) next() (text []byte, ended bool, err error) {
	const most = MaxLen + len("\r\n") + len("\ufeff")
	text, err = r.buf.ReadSlice(r.end)
	if err == bufio.ErrBufferFull {
		r.line = r.line[:0]
		long := false
		for err == bufio.ErrBufferFull {
			if long = long || len(r.line)+len(text) > most; !long {
				r.line = append(r.line, text...)
			}
			text, err = r.buf.ReadSlice(r.end)
		}
		if long = long || len(r.line)+len(text) > most; long && (err == nil || err == io.EOF) {
			return nil, err == nil, ErrLong
		}
		r.line = append(r.line, text...)
		text = r.line
	}
	switch {
	case err == io.EOF:
		return text, false, nil
	case err != nil:
		return nil, false, err
	}
	return text[:len(text)-1], true, nil
}

// Reason strips the path from an error of package os. The caller names the file in quotes, so that
// a newline in its name does no harm.
func Reason(err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	return err
}
