package wire

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"
)

// findCertificate finds what is wrong with a server's certificate.
func (c *Cause) findCertificate(at *url.URL, bad *tls.CertificateVerificationError) bool {
	var (
		host    x509.HostnameError
		unknown x509.UnknownAuthorityError
		invalid x509.CertificateInvalidError
	)
	whose := "the certificate of " + at.Hostname()
	switch {
	case errors.As(bad, &host):
		names := host.Certificate.DNSNames
		for _, ip := range host.Certificate.IPAddresses {
			names = append(names[:len(names):len(names)], ip.String())
		}
		switch {
		case len(names) == 0:
			return c.says(CertificateNoNames, true,
				"%s has no subject alternative name, which is required", whose)
		case len(names) > 3:
			names = append(names[:3:3], fmt.Sprintf("%d others", len(names)-3))
		}
		return c.says(CertificateNames, true,
			"%s is valid for %s only", whose, strings.Join(names, ", "))
	case errors.As(bad, &unknown):
		issuer := "an unknown authority"
		if unknown.Cert != nil && unknown.Cert.Issuer.CommonName != "" {
			issuer = unknown.Cert.Issuer.CommonName
		}
		return c.says(CertificateUnknown, true,
			"%s is not trusted (it was issued by %s)", whose, issuer)
	case errors.As(bad, &invalid) && invalid.Reason == x509.Expired && invalid.Cert != nil:
		// No fault of our configuration: the server's owner may renew it during the run.
		if from := invalid.Cert.NotBefore; time.Now().Before(from) {
			return c.says(CertificateTooEarly, false,
				"%s is valid from %s on", whose, from.Format(time.DateOnly))
		}
		return c.says(CertificateExpired, false,
			"%s expired on %s", whose, invalid.Cert.NotAfter.Format(time.DateOnly))
	}
	return c.says(Other, true,
		"%s is not valid: %s", whose, strings.TrimPrefix(bad.Err.Error(), "x509: "))
}
