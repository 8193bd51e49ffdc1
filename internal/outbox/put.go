package outbox

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"time"
)

const (
	file   = "outbox.db"
	bodies = "bodies" // the directory of large bodies

	// maxInRow is the size of the largest body that is kept in the SQLite file. A larger one would
	// be written twice, to the log and to the file, at a cost above that of a file of its own.
	maxInRow = 64 << 10

	// minFree is how much room on the disk is left to what is no new request: the log and what it
	// adds to the file, 16 MiB each, where what was sent is noted before anything can be deleted.
	minFree = 64 << 20
)

// suffixes are those of the files that make up an SQLite file; the lock is not among them.
var suffixes = []string{"", "-wal", "-shm", "-journal"}

// Put stores a request and returns it when it is on disk with its body. A nil body is an empty one.
// Put fails with [ErrFull], with an [*Error] if it cannot be written, and with the error of body as
// it is. A request for which it failed is not stored.
func (s *Store) Put(r Request, body io.Reader) (Entry, error) {
	header, err := json.Marshal(r.Header)
	if err != nil {
		return Entry{}, err
	}
	e := Entry{Request: r, State: Waiting, head: header}
	p := &putting{s: s, entry: &e, from: body}
	if err := p.begin(); err != nil {
		return Entry{}, err
	}
	defer p.end()
	data, err := p.read()
	if err != nil {
		return Entry{}, err
	}
	e.Accepted = time.Now().Truncate(time.Millisecond)
	err = s.do(&op{
		do: func(w *writer) error {
			err := w.exec(insertEntry, e.Seq, e.State, e.token, e.Client, e.Target,
				millis(e.Accepted), 0, 0, 0, 0, e.Size, e.inFile, 0, 0, 0, e.Method, e.URI, header,
				e.Key, "", e.digest)
			if err == nil && len(data) > 0 {
				err = w.exec("INSERT INTO body VALUES (?,?)", e.Seq, data)
			}
			return err
		},
		then: func() {
			p.stored = true
			s.addLocked(e)
		},
	})
	if err != nil {
		return Entry{}, err
	}
	return e, nil
}

// putting is a request that is being put.
type putting struct {
	s      *Store
	entry  *Entry
	from   io.Reader
	fault  error // of the client's body
	stored bool
}

// begin reserves a place.
func (p *putting) begin() error {
	s := p.s
	if err := s.room(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return ErrClosed
	case s.coming+s.undeliveredLocked() >= s.o.MaxRequests:
		return ErrFull
	}
	s.coming++
	p.entry.Seq = s.next
	s.next++
	p.entry.ID, p.entry.token = newID(p.entry.Seq)
	return nil
}

// room is an error if the disk has no room for new requests.
func (s *Store) room() error {
	if freeBytes(s.dir) < s.minFree {
		return fault(s.dir, errNoRoom)
	}
	return nil
}

func (s *Store) undeliveredLocked() (n int64) {
	for state, count := range s.counts {
		if state != Delivered {
			n += count
		}
	}
	return n
}

// end gives up the reservations, and the file of a body whose request was not stored.
func (p *putting) end() {
	p.s.mu.Lock()
	p.s.coming--
	p.s.bytes -= p.entry.Size // addLocked has counted what was stored
	p.s.mu.Unlock()
	if !p.stored && p.entry.inFile {
		os.Remove(p.s.bodyPath(p.entry.ID))
	}
}

// Read reads the client's body, and reserves room for it.
func (p *putting) Read(b []byte) (int, error) {
	if p.from == nil {
		return 0, io.EOF
	}
	n, err := p.from.Read(b)
	p.s.mu.Lock()
	p.s.bytes += int64(n)
	p.entry.Size += int64(n)
	full := p.s.bytes > p.s.o.MaxBytes
	p.s.mu.Unlock()
	if full {
		err = ErrFull
	}
	if err != nil && err != io.EOF {
		p.fault = err
	}
	return n, err
}

// read reads the body, and returns it unless it is in a file of its own.
func (p *putting) read() ([]byte, error) {
	hash := p.entry.newDigest()
	from := io.TeeReader(p, hash)
	var start bytes.Buffer
	_, err := io.CopyN(&start, from, maxInRow+1)
	if err == nil {
		p.entry.inFile = true
		err = saveBody(p.s.bodyPath(p.entry.ID), io.MultiReader(&start, from))
	}
	switch {
	case p.fault != nil:
		return nil, p.fault
	case err != nil && err != io.EOF:
		return nil, fault(p.s.dir, err)
	}
	p.entry.digest = hash.Sum(nil)
	return start.Bytes(), nil
}
