package main

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// A server does what the first segment of a request's path says:
//
//	/keep/…      stores the body
//	/form/…      stores the file in a form, by its field and name
//	/hold/…      stores the body once the script releases it
//	/status/N/…  answers N
//	/echo/…      answers 400 with all that was sent
//	/bearer/T/…  answers 401 unless the token is T
//	/basic/S/…   answers 401 unless the SHA-256 of user and password begins with S
//	/later/N/…   answers 429 with Retry-After: N
//	/to/N/…      redirects by status N to /keep/…
//	/away/N/…    redirects by status N to /… of the other one of the two
//	/proof/…     stores how the request came
//
// It is there twice, once with TLS.
type server struct {
	*httptest.Server
	tls *httptest.Server

	holding chan struct{} // gets one for each request that is held

	mu     sync.Mutex
	open   chan struct{} // closed by release, and made anew
	bodies map[string]body
}

// A body is what came with a request.
type body struct {
	method, kind string
	content      []byte
}

func newServer() *server {
	s := &server{
		holding: make(chan struct{}, 1000),
		open:    make(chan struct{}),
		bodies:  map[string]body{},
	}
	quiet := log.New(io.Discard, "", 0)
	s.Server = httptest.NewUnstartedServer(s)
	s.Server.Config.ErrorLog = quiet
	s.Server.Start()
	s.tls = httptest.NewUnstartedServer(s)
	s.tls.Config.ErrorLog = quiet
	s.tls.EnableHTTP2 = true
	s.tls.TLS = &tls.Config{ClientAuth: tls.RequestClientCert}
	s.tls.StartTLS()
	return s
}

// release lets go of the requests that are held.
func (s *server) release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.open)
	s.open = make(chan struct{})
}

func (s *server) close() {
	s.release()
	for _, srv := range []*httptest.Server{s.Server, s.tls} {
		srv.CloseClientConnections()
		srv.Close()
	}
}

// writeFiles writes the certificate of the server with TLS, which also serves as a client's, and
// its key.
func (s *server) writeFiles(dir string) error {
	pair := s.tls.TLS.Certificates[0]
	key, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		return err
	}
	for name, block := range map[string]*pem.Block{
		"cert.pem": {Type: "CERTIFICATE", Bytes: pair.Certificate[0]},
		"key.pem":  {Type: "PRIVATE KEY", Bytes: key},
	} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block),
			0o600); err != nil {
			return err
		}
	}
	return nil
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	what, rest, _ := strings.Cut(strings.TrimPrefix(r.URL.EscapedPath(), "/"), "/")
	number, name, _ := strings.Cut(rest, "/")
	n, _ := strconv.Atoi(number)
	switch what {
	case "hold":
		s.mu.Lock()
		open := s.open
		s.mu.Unlock()
		s.holding <- struct{}{}
		select {
		case <-open:
		case <-r.Context().Done():
			return
		}
		fallthrough
	case "keep":
		content, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		s.put(rest, body{r.Method, r.Header.Get("Content-Type"), content})
		w.WriteHeader(http.StatusCreated)
	case "form":
		parts, err := r.MultipartReader()
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		for part, err := parts.NextPart(); err == nil; part, err = parts.NextPart() {
			content, err := io.ReadAll(part)
			if err != nil {
				return
			}
			s.put(part.FormName()+"/"+part.FileName(),
				body{r.Method, part.Header.Get("Content-Type"), content})
		}
	case "status":
		_, _ = io.Copy(io.Discard, r.Body)
		http.Error(w, "no, because of "+number, n)
	case "echo":
		text, _ := io.ReadAll(r.Body)
		user, password, _ := r.BasicAuth()
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprintf(w, "%s %s %s %s %v %s\n", r.Method, r.URL, user, password, r.Header, text)
	case "bearer":
		_, _ = io.Copy(io.Discard, r.Body)
		if r.Header.Get("Authorization") != "Bearer "+number {
			http.Error(w, "another token", http.StatusUnauthorized)
		}
	case "basic":
		_, _ = io.Copy(io.Discard, r.Body)
		user, password, _ := r.BasicAuth()
		sum := sha256.Sum256([]byte(user + ":" + password))
		if !strings.HasPrefix(hex.EncodeToString(sum[:]), number) {
			http.Error(w, "another password", http.StatusUnauthorized)
		}
	case "later":
		w.Header().Set("Retry-After", number)
		http.Error(w, "later", http.StatusTooManyRequests)
	case "to":
		w.Header().Set("Location", "/keep/"+name)
		w.WriteHeader(n)
	case "away":
		other := s.tls.URL
		if r.TLS != nil {
			other = s.URL
		}
		w.Header().Set("Location", other+"/"+name)
		w.WriteHeader(n)
	case "proof":
		_, _ = io.Copy(io.Discard, r.Body)
		host, certificates := "", 0
		if r.URL.IsAbs() {
			host = r.URL.Host + " by proxy"
		}
		if r.TLS != nil {
			certificates = len(r.TLS.PeerCertificates)
		}
		s.put(rest, body{r.Method, r.Proto,
			fmt.Appendf(nil, "%s, %d certificates\n", host, certificates)})
	default:
		http.NotFound(w, r)
	}
}

func (s *server) put(name string, b body) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bodies[name] = b
}

func (s *server) get(name string) (body, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, ok := s.bodies[name]
	return b, ok
}

func (s *server) names() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.bodies))
}
