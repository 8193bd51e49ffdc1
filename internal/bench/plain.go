package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/time/rate"
)

// plain is the client to compare with: what a good Go programmer writes if there is no need of
// retries, no limits but a rate, and no account of the run. It keeps connections, sends files by
// their descriptor with their length, and stops at the first failure.
func plain(args []string) error {
	flags := flag.NewFlagSet("plain", flag.ContinueOnError)
	workers := flags.Int("workers", 64, "requests in flight")
	limit := flags.Int("rate", 0, "requests a second; 0: no limit")
	to := flags.String("to", "", "base URL")
	cacert := flags.String("cacert", "", "certificates to trust")
	if err := flags.Parse(args); err != nil {
		return err
	}
	dir := flags.Arg(0)

	transport := &http.Transport{
		MaxIdleConnsPerHost: 64,
		TLSClientConfig:     &tls.Config{},
		// HTTP/1.1, as penstock's uploads
		TLSNextProto: map[string]func(string, *tls.Conn) http.RoundTripper{},
	}
	if *cacert != "" {
		pem, err := os.ReadFile(*cacert)
		if err != nil {
			return err
		}
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(pem)
		transport.TLSClientConfig.RootCAs = roots
	}
	client := &http.Client{Transport: transport}

	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	pace := rate.NewLimiter(rate.Inf, 1)
	if *limit > 0 {
		pace.SetLimit(rate.Limit(*limit))
	}
	names := make(chan string)
	failed := make(chan error, *workers)
	var wg sync.WaitGroup
	for range *workers {
		wg.Go(func() {
			for name := range names {
				if err := put(client, *to+"/"+name, filepath.Join(dir, name)); err != nil {
					failed <- err
					return
				}
			}
		})
	}
	for _, e := range entries {
		if err := pace.Wait(context.Background()); err != nil {
			return err
		}
		select {
		case names <- e.Name():
		case err := <-failed:
			return err
		}
	}
	close(names)
	wg.Wait()
	close(failed)
	var all []error
	for err := range failed {
		all = append(all, err)
	}
	return errors.Join(all...)
}

func put(client *http.Client, url, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return err
	}
	req, err := http.NewRequest(http.MethodPut, url, f) // which closes f
	if err != nil {
		f.Close()
		return err
	}
	req.ContentLength = info.Size()
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return err
	}
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("%s: %s", url, resp.Status)
	}
	return nil
}
