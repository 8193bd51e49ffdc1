package wire

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock/penstock/internal/acked"
	"github.com/penstock/penstock/internal/memnet"
	"github.com/penstock/penstock/internal/sequence"
	"github.com/penstock/penstock/internal/test"
)

const limit = time.Minute

// pair returns both ends of a connection, ours with the limit.
func pair(t *testing.T) (*stallConn, net.Conn) {
	l := memnet.Listen()
	ours, err := l.DialContext(t.Context(), "", "")
	test.OK(t, err)
	theirs, err := l.Accept()
	test.OK(t, err)
	t.Cleanup(func() {
		ours.Close()
		theirs.Close()
		l.Close()
	})
	return newStallConn(ours, limit), theirs
}

func wantStall(t *testing.T, err error, after, most time.Duration) {
	t.Helper()
	var stall *StallError
	var timeout net.Error
	if !errors.As(err, &stall) || !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Errorf("it ends with %v", err)
	}
	if after < limit || after > most {
		t.Errorf("it ends after %v", after)
	}
}

func TestStallReading(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := pair(t)
		go func() {
			// Before that it is a head, which does not take as long.
			_, _ = theirs.Write(make([]byte, maxAnswerHead))
			for range 20 { // 19 minutes
				_, _ = theirs.Write([]byte("x"))
				time.Sleep(limit * 19 / 20)
			}
		}()
		begin := time.Now()
		n, err := io.Copy(io.Discard, ours)
		if n != maxAnswerHead+20 {
			t.Errorf("%d bytes, want 20 more than a head", n)
		}
		last := 19 * limit * 19 / 20
		wantStall(t, err, time.Since(begin)-last, limit)
		time.Sleep(limit)
	})
}

func TestStallWriting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, _ := pair(t)
		begin := time.Now()
		n, err := ours.Write(make([]byte, 1<<20))
		if n == 0 || n == 1<<20 {
			t.Errorf("%d bytes", n)
		}
		wantStall(t, err, time.Since(begin), 2*limit)
	})
}

// A line that takes hours is no line that stalls, whichever way it is written to.
func TestSlowIsNoStall(t *testing.T) {
	data := bytes.Repeat([]byte("0123456789abcdef"), 1<<14) // four times what the connection holds
	for name, send := range map[string]func(*stallConn) (int64, error){
		"Write": func(c *stallConn) (int64, error) {
			n, err := c.Write(data)
			return int64(n), err
		},
		"ReadFrom": func(c *stallConn) (int64, error) { return c.ReadFrom(bytes.NewReader(data)) },
		"sendfile": func(c *stallConn) (int64, error) {
			c.Conn = sendfile{c.Conn}
			file := asFile{bytes.NewReader(data)}
			return c.ReadFrom(&io.LimitedReader{R: file, N: int64(len(data))})
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ours, theirs := pair(t)
				var got bytes.Buffer
				done := make(chan struct{})
				go func() {
					defer close(done)
					for got.Len() < len(data) {
						time.Sleep(limit * 9 / 10)
						_, _ = io.CopyN(&got, theirs, 1<<10)
					}
				}()
				n, err := send(ours)
				if n != int64(len(data)) || err != nil {
					t.Errorf("%d bytes, %v", n, err)
				}
				<-done
				if !bytes.Equal(got.Bytes(), data) {
					t.Error("other bytes came out than went in")
				}
			})
		})
	}
}

// A reader that waits for its bandwidth is no line that stalls, not even for requests that wait for
// the answer meanwhile.
func TestSlowSourceIsNoStall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const wait = 5 * limit / 2
		ours, theirs := pair(t)
		answer := make(chan error, 1)
		go func() {
			_, err := io.ReadFull(ours, make([]byte, 2))
			answer <- err
		}()
		go func() {
			_, _ = io.ReadFull(theirs, make([]byte, 10))
			time.Sleep(wait + limit*9/10)
			_, _ = theirs.Write([]byte("ok"))
		}()
		n, err := ours.ReadFrom(&slowReader{n: 10, wait: wait})
		if n != 10 || err != nil {
			t.Errorf("%d bytes, %v", n, err)
		}
		if err := <-answer; err != nil {
			t.Errorf("the answer: %v", err)
		}
	})
}

// slowReader gives n bytes, one after each wait, and after one more its end.
type slowReader struct {
	n    int
	wait time.Duration
}

func (r *slowReader) Read(p []byte) (int, error) {
	time.Sleep(r.wait)
	if r.n == 0 {
		return 0, io.EOF
	}
	r.n--
	return 1, nil
}

// asFile passes for a file: it is a syscall.Conn, which nobody calls here.
type asFile struct{ io.Reader }

func (asFile) SyscallConn() (syscall.RawConn, error) { return nil, errors.ErrUnsupported }

// sendfile has a ReadFrom that like the system's loses no byte when its deadline passes: what it
// has not sent it has not read.
type sendfile struct{ net.Conn }

func (c sendfile) ReadFrom(r io.Reader) (n int64, err error) {
	file := r.(*io.LimitedReader).R.(asFile).Reader.(*bytes.Reader)
	for left := r.(*io.LimitedReader).N; n < left; {
		p := make([]byte, min(left-n, 1<<12))
		m, _ := file.Read(p)
		sent, err := c.Write(p[:m])
		if _, err := file.Seek(int64(sent-m), io.SeekCurrent); err != nil {
			return n, err
		}
		n += int64(sent)
		if err != nil || m == 0 {
			return n, err
		}
	}
	return n, nil
}

// Over TCP a file goes out in parts, each of them one that the kernel can send by itself: a limit
// directly above the file. So does one within a body.
func TestFilesGoBySendfile(t *testing.T) {
	name := filepath.Join(t.TempDir(), "file")
	data := bytes.Repeat([]byte("0123456789abcdef"), 5<<16+1) // a little over 5 MiB
	test.OK(t, os.WriteFile(name, data, 0o600))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	test.OK(t, err)
	defer l.Close()
	type file = struct{ *os.File } // as net/http has it, a type of ours around the file
	for want, body := range map[string]func(file) io.Reader{
		string(data): func(f file) io.Reader { return f },
		"head" + string(data) + "tail": func(f file) io.Reader {
			return sequence.New(sequence.Piece{Text: []byte("head")},
				sequence.Piece{Content: f, Size: int64(len(data))},
				sequence.Piece{Text: []byte("tail")})
		},
	} {
		got := make(chan string)
		go func() {
			c, err := l.Accept()
			if err != nil {
				got <- ""
				return
			}
			defer c.Close()
			all, _ := io.ReadAll(c)
			got <- string(all)
		}()
		c, err := net.Dial("tcp", l.Addr().String())
		test.OK(t, err)
		seen := &tcp{TCPConn: c.(*net.TCPConn)}
		f, err := os.Open(name)
		test.OK(t, err)
		limited := &io.LimitedReader{R: body(file{f}), N: int64(len(want))}
		n, err := newStallConn(seen, limit).ReadFrom(limited)
		if n != int64(len(want)) || limited.N != 0 || err != nil {
			t.Errorf("%d bytes, %d left, %v", n, limited.N, err)
		}
		c.Close()
		f.Close()
		if <-got != want {
			t.Error("other bytes came out than went in")
		}
		if seen.parts < 2 || seen.others != 0 {
			t.Errorf("%d parts of a file and %d of something else", seen.parts, seen.others)
		}
	}
}

// tcp counts what its ReadFrom is given.
type tcp struct {
	*net.TCPConn
	parts, others int
}

func (c *tcp) ReadFrom(r io.Reader) (int64, error) {
	if part, ok := r.(*io.LimitedReader); ok {
		if _, ok := part.R.(struct{ *os.File }); ok {
			c.parts++
			return c.TCPConn.ReadFrom(r)
		}
	}
	c.others++
	return c.TCPConn.ReadFrom(r)
}

// A file that ends before it should leaves off there: the caller knows how long it was to be.
func TestShortFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := pair(t)
		go io.Copy(io.Discard, theirs)
		ours.Conn = sendfile{ours.Conn}
		file := asFile{bytes.NewReader(make([]byte, 100))}
		n, err := ours.ReadFrom(&io.LimitedReader{R: file, N: 200})
		if n != 100 || err != nil {
			t.Errorf("%d bytes, %v", n, err)
		}
	})
}

func TestAcked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := memnet.Listen()
		defer l.Close()
		inner, err := l.DialContext(t.Context(), "", "")
		test.OK(t, err)
		c := newStallConn(inner, 0)
		defer c.Close()
		if _, err := c.Write(make([]byte, 1000)); err != nil {
			t.Fatal(err)
		}
		// A network in memory acknowledges nothing.
		if n, ok := acked.Bytes(tls.Client(c, &tls.Config{})); n != 1000 || !ok {
			t.Errorf("%d bytes acknowledged, %v; want the 1000 that were written", n, ok)
		}
	})
}

// stopped is a connection whose process is stopped while it reads or writes, and for so long.
type stopped struct {
	net.Conn
	read, write time.Duration
}

func (c *stopped) Read(p []byte) (int, error) {
	time.Sleep(c.read)
	c.read = 0
	return c.Conn.Read(p)
}

func (c *stopped) Write(p []byte) (int, error) {
	time.Sleep(c.write)
	c.write = 0
	return c.Conn.Write(p)
}

// An answer that came while the process was stopped is read, however long that was; if none has
// come, that is a stall.
func TestStoppedProcess(t *testing.T) {
	for _, stop := range []time.Duration{limit + time.Second, 75 * time.Second, time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			ours, theirs := pair(t)
			ours.Conn = &stopped{ours.Conn, stop, stop}
			if n, err := ours.Write([]byte("request")); n != 7 || err != nil {
				t.Errorf("stopped for %v: wrote %d bytes, %v", stop, n, err)
			}
			if _, err := theirs.Write([]byte("answer")); err != nil {
				t.Fatal(err)
			}
			b := make([]byte, 10)
			if n, err := ours.Read(b); string(b[:n]) != "answer" || err != nil {
				t.Errorf("stopped for %v: read %q, %v", stop, b[:n], err)
			}
			ours.Conn.(*stopped).read = stop
			begin := time.Now()
			_, err := ours.Read(b)
			took := time.Since(begin)
			if !errors.As(err, new(*StallError)) || took != stop+secondLook {
				t.Errorf("stopped for %v: %v after %v", stop, err, took)
			}
		})
	}
}

// Deadlines are put off by a clock that nobody sets: package time compares two instants by it where
// both have a reading of it.
func TestClockIsMonotonic(t *testing.T) {
	if made := newStallConn(nil, limit).made; !strings.Contains(made.String(), " m=") {
		t.Errorf("made at %v, by the wall clock", made)
	}
	synctest.Test(t, func(t *testing.T) {
		ours, _ := pair(t)
		time.Sleep(time.Hour)
		if ours.now() != int64(time.Hour) {
			t.Errorf("after an hour: %v", time.Duration(ours.now()))
		}
	})
}
