package spool

import "io"

// kept is the beginning of a body. Its first bytes are in memory and the others in a file. The lock
// of the Body protects it.
type kept struct {
	memory []byte
	file   file  // nil if there is none
	length int64 // in memory and in the file
	disk   int64 // reserved in the store; in memory there are as many as are reserved

	// passing are the last bytes that were read, if they could not be kept, for a newer reader than
	// the one that read them.
	passing []byte
}

// keepLocked keeps p, which follows on what was read, or returns why it cannot. Only the reader
// that reads from the client calls it, so that there is one writer.
//
// It requires that mu is held, and releases it while it writes to a file.
func (b *Body) keepLocked(p []byte) error {
	k, s := &b.mu.kept, b.store
	n := int64(len(p))
	if err := s.permits(max(b.size, k.length+n)); err != nil {
		return err
	}
	if k.file == nil && max(b.size, k.length+n) <= s.memory() {
		if err := s.reserve(n, 0); err != nil {
			return err
		}
		k.grow(n, b.size)
		k.memory = append(k.memory, p...)
		k.length += n
		return nil
	}
	if err := s.reserve(0, n); err != nil {
		return err
	}
	k.disk += n
	f, at := k.file, k.length-int64(len(k.memory))
	b.mu.Unlock()
	made := f == nil
	var err error
	if made {
		f, err = s.newFile()
	}
	if err == nil {
		_, err = f.WriteAt(p, at)
	}
	b.mu.Lock()
	if b.mu.dropped || err != nil {
		if made && f != nil {
			_ = f.Close() // nothing in it is of use
		}
		return err
	}
	k.file = f
	k.length += n
	return nil
}

// grow makes room for n bytes: no more than twice what there is, since a client may say a size and
// send nothing, and none beyond the size of the body, -1 if that is not known.
func (k *kept) grow(n, size int64) {
	need := int64(len(k.memory)) + n
	if need <= int64(cap(k.memory)) || size < 0 {
		return // append knows no better
	}
	larger := make([]byte, len(k.memory), min(max(need, 2*int64(cap(k.memory))), max(size, need)))
	copy(larger, k.memory)
	k.memory = larger
}

// dropLocked gives back all that is kept.
func (b *Body) dropLocked() {
	k := &b.mu.kept
	b.store.release(int64(len(k.memory)), k.disk)
	if k.file != nil {
		_ = k.file.Close() // nobody needs what is in it
	}
	b.mu.kept, b.mu.dropped = kept{}, true
}

// replayLocked reads what was read before, at an offset before that. It reports whether it is still
// there.
//
// It requires that mu is held, and releases it while it reads from a file.
func (b *Body) replayLocked(p []byte, at int64) (n int, ok bool, err error) {
	k := &b.mu.kept
	inMemory, before := int64(len(k.memory)), b.mu.read-int64(len(k.passing))
	switch {
	case at >= before:
		return copy(p, k.passing[at-before:]), true, nil
	case at >= k.length:
		return 0, false, nil
	case at < inMemory:
		return copy(p, k.memory[at:]), true, nil
	}
	// What a reader writes at this moment is not part of length yet.
	f, left := k.file, min(k.length, before)-at
	p = p[:min(int64(len(p)), left)]
	b.mu.Unlock()
	n, err = f.ReadAt(p, at-inMemory)
	b.mu.Lock()
	if n == len(p) {
		err = nil // perhaps at its end
	} else if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return n, true, err
}
