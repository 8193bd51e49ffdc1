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

var errLong = errors.New("the line is longer than 1 MiB")

// A Line is a line without its end.
type Line struct {
	Number int    // from 1
	Text   []byte // valid until the next line
	Cut    bool   // the input ends without ending the line
}

// Each yields the lines that are not blank. It tolerates a UTF-8 byte order mark and CR LF, as
// Windows writes them. With null a NUL ends each line, and what is between two is yielded as it is.
// An error is yielded last, with the number of its line.
func Each(r io.Reader, null bool) iter.Seq2[Line, error] {
	return func(yield func(Line, error) bool) {
		sc := bufio.NewScanner(r)
		sc.Buffer(nil, MaxLen+16) // room for its end and the mark
		cut := false
		sc.Split(func(data []byte, atEOF bool) (int, []byte, error) {
			if null {
				return scanNull(data, atEOF)
			}
			cut = atEOF && bytes.IndexByte(data, '\n') < 0
			return bufio.ScanLines(data, atEOF)
		})
		n := 0
		for sc.Scan() {
			n++
			text := sc.Bytes()
			if n == 1 && !null {
				text = bytes.TrimPrefix(text, []byte("\ufeff"))
			}
			if len(text) > MaxLen {
				yield(Line{Number: n}, errLong)
				return
			}
			blank := len(text) == 0 || !null && len(bytes.TrimSpace(text)) == 0
			if !blank && !yield(Line{n, text, cut}, nil) {
				return
			}
		}
		if err := sc.Err(); errors.Is(err, bufio.ErrTooLong) {
			yield(Line{Number: n + 1}, errLong)
		} else if err != nil {
			yield(Line{Number: n + 1}, Reason(err))
		}
	}
}

// scanNull is a bufio.SplitFunc for what NULs end.
func scanNull(data []byte, atEOF bool) (advance int, token []byte, err error) {
	switch end := bytes.IndexByte(data, 0); {
	case end >= 0:
		return end + 1, data[:end], nil
	case atEOF && len(data) > 0:
		return len(data), data, nil
	}
	return 0, nil, nil
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
