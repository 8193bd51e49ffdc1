package source

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"iter"
)

// maxLine is the longest line of a manifest or of a list of paths, in bytes.
const maxLine = 1 << 20

var errLongLine = errors.New("the line is longer than 1 MiB")

type line struct {
	number int
	text   []byte // valid until the next line
	cut    bool   // the input ends without ending the line
}

// lines yields the lines that are not blank. It tolerates a UTF-8 byte order mark and CR LF, as
// Windows writes them. With null a NUL ends each line, and what is between two is yielded as it is.
// An error is yielded last, with the number of its line.
func lines(r io.Reader, null bool) iter.Seq2[line, error] {
	return func(yield func(line, error) bool) {
		sc := bufio.NewScanner(r)
		sc.Buffer(nil, maxLine+16) // room for its end and the mark
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
			if len(text) > maxLine {
				yield(line{number: n}, errLongLine)
				return
			}
			if (len(bytes.TrimSpace(text)) > 0 || null && len(text) > 0) && !yield(line{n, text, cut}, nil) {
				return
			}
		}
		if err := sc.Err(); errors.Is(err, bufio.ErrTooLong) {
			yield(line{number: n + 1}, errLongLine)
		} else if err != nil {
			yield(line{number: n + 1}, reason(err))
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
