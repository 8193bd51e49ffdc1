package servers

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// RedisConfig says how a Redis is set up. The zero value takes anybody and keeps nothing on disk by
// itself.
type RedisConfig struct {
	Password string   // empty: none is needed
	TLS      bool     // besides plain TCP, at a port of its own
	Sentinel string   // a file that makes it a sentinel, which rewrites it; empty: it is none
	Args     []string // more of its options, such as "--maxmemory", "1mb"
}

// Redis is a Redis that runs. What is in it is lost when it ends, except for what Do("SAVE") has
// written. Its methods are for one goroutine.
type Redis struct {
	Server
	Addr   string // host and port
	TLS    string // host and port that speak TLS; empty without it
	CACert string // PEM file to trust there

	program string
	cfg     RedisConfig
}

// StartRedis runs a Redis until the test ends. Where there is none the test is skipped, or fails if
// PENSTOCK_REQUIRE_SERVERS is 1.
func StartRedis(tb testing.TB, cfg RedisConfig) *Redis {
	tb.Helper()
	path, err := find("redis-server", "redis-server")
	must(tb, err)
	s := &Redis{program: path, cfg: cfg}
	s.dir = tb.TempDir()
	s.Addr, err = freeAddr()
	must(tb, err)
	if cfg.TLS {
		s.CACert = filepath.Join(s.dir, "cert.pem")
		_, err := writeCert(s.CACert, filepath.Join(s.dir, "key.pem"))
		must(tb, err)
		s.TLS, err = freeAddr()
		must(tb, err)
	}
	s.URL = "redis://" + s.Addr
	must(tb, s.Start())
	tb.Cleanup(s.Stop)
	return s
}

// freeAddr returns an address of this machine that nobody listens at. Another program may take it
// before it is used: then the server does not start, and the test says so.
func freeAddr() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// Start runs it again after Stop or Kill, at the same address and with what SAVE wrote last.
func (s *Redis) Start() error {
	_, port, _ := net.SplitHostPort(s.Addr)
	args := []string{"--bind", "127.0.0.1", "--port", port, "--dir", s.dir, "--save", "",
		"--appendonly", "no", "--daemonize", "no", "--maxmemory-policy", "noeviction"}
	if s.cfg.Password != "" {
		args = append(args, "--requirepass", s.cfg.Password)
	}
	if s.cfg.TLS {
		_, port, _ := net.SplitHostPort(s.TLS)
		args = append(args, "--tls-port", port, "--tls-cert-file", s.CACert, "--tls-key-file",
			filepath.Join(s.dir, "key.pem"), "--tls-auth-clients", "no")
	}
	if s.cfg.Sentinel != "" {
		args = []string{s.cfg.Sentinel, "--sentinel", "--bind", "127.0.0.1", "--port", port}
	}
	cmd := exec.Command(s.program, append(args, s.cfg.Args...)...)
	logged, err := os.Create(filepath.Join(s.dir, "error.log"))
	if err != nil {
		return err
	}
	defer logged.Close()
	cmd.Stdout = logged
	return s.await(cmd, func(ctx context.Context) error {
		_, err := s.do(ctx, "PING")
		return err
	})
}

// Version returns what it calls itself, such as 7.0.15.
func (s *Redis) Version() string {
	info, err := s.do(context.Background(), "INFO", "server")
	if err != nil {
		return err.Error()
	}
	_, after, _ := strings.Cut(info, "redis_version:")
	version, _, _ := strings.Cut(after, "\r\n")
	return version
}

// Do has it carry out a command, and returns its answer as a text.
func (s *Redis) Do(tb testing.TB, args ...string) string {
	tb.Helper()
	answer, err := s.do(tb.Context(), args...)
	if errors.Is(err, io.EOF) { // a sentinel that makes it the master ends its connections
		answer, err = s.do(tb.Context(), args...)
	}
	if err != nil {
		tb.Fatalf("redis: %s: %v", strings.Join(args, " "), err)
	}
	return answer
}

// do speaks the protocol itself: a client library is what tests judge.
func (s *Redis) do(ctx context.Context, args ...string) (string, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", s.Addr)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if deadline, ok := ctx.Deadline(); ok {
		_ = conn.SetDeadline(deadline)
	}
	r := bufio.NewReader(conn)
	if s.cfg.Password != "" {
		if _, err := call(conn, r, "AUTH", s.cfg.Password); err != nil {
			return "", err
		}
	}
	return call(conn, r, args...)
}

func call(w io.Writer, r *bufio.Reader, args ...string) (string, error) {
	var b strings.Builder
	fmt.Fprintf(&b, "*%d\r\n", len(args))
	for _, arg := range args {
		fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(arg), arg)
	}
	if _, err := io.WriteString(w, b.String()); err != nil {
		return "", err
	}
	return answer(r)
}

// answer reads an answer. The parts of an array are lines of the text.
func answer(r *bufio.Reader) (string, error) {
	line, err := r.ReadString('\n')
	if err != nil {
		return "", err
	}
	line = strings.TrimRight(line, "\r\n")
	if line == "" {
		return "", errors.New("an empty line")
	}
	kind, rest := line[0], line[1:]
	switch kind {
	case '-':
		return "", errors.New(rest)
	case '$', '*':
		n, err := strconv.Atoi(rest)
		if err != nil || n < 0 {
			return "", err
		}
		if kind == '$' {
			b := make([]byte, n+2)
			_, err := io.ReadFull(r, b)
			return string(b[:n]), err
		}
		parts := make([]string, n)
		for i := range parts {
			if parts[i], err = answer(r); err != nil {
				return "", err
			}
		}
		return strings.Join(parts, "\n"), nil
	}
	return rest, nil
}
