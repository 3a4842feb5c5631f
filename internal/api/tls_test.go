package api

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// authority issues certificates.
type authority struct {
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	from := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "a test's authority"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, from, from, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &authority{key, cert}
}

// issue returns a certificate for a host name or address.
func (a *authority) issue(t *testing.T, host string, until time.Time) tls.Certificate {
	t.Helper()
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: host}, NotBefore: until.Add(-48 * time.Hour), NotAfter: until,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if ip := net.ParseIP(host); ip != nil {
		leaf.IPAddresses = []net.IP{ip}
	} else {
		leaf.DNSNames = []string{host}
	}
	der, err := x509.CreateCertificate(rand.Reader, leaf, a.cert, &a.key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: a.key}
}

// TestCertificates takes a vendor for what it proves to be. What is wrong with its TLS is final: one attempt, nothing
// of the request arrives, and never in plain.
func TestCertificates(t *testing.T) {
	ca, other := newAuthority(t), newAuthority(t)
	later, earlier := time.Now().Add(time.Hour), time.Now().Add(-time.Hour)
	roots := x509.NewCertPool()
	roots.AddCert(ca.cert)
	cases := []struct {
		name   string
		server *tls.Config // nil: no TLS at all
		client *tls.Config // besides the roots
		faults string
		class  Class // "" is success
		says   string
		told   string
	}{
		{name: "good", server: &tls.Config{Certificates: []tls.Certificate{ca.issue(t, "127.0.0.1", later)}}, told: s},
		{name: "TLS 1.2", server: &tls.Config{Certificates: []tls.Certificate{ca.issue(t, "127.0.0.1", later)}, MaxVersion: tls.VersionTLS12}, told: s},
		{name: "unknown issuer", server: &tls.Config{Certificates: []tls.Certificate{other.issue(t, "127.0.0.1", later)}}, class: Setup, says: "unknown authority", told: su},
		{name: "expired", server: &tls.Config{Certificates: []tls.Certificate{ca.issue(t, "127.0.0.1", earlier)}}, class: Setup, says: "expired", told: su},
		{name: "another host's", server: &tls.Config{Certificates: []tls.Certificate{ca.issue(t, "crm.example", later)}}, class: Setup, says: "does not prove that it is 127.0.0.1", told: su},
		{name: "TLS 1.1", server: &tls.Config{Certificates: []tls.Certificate{ca.issue(t, "127.0.0.1", later)}, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}, class: Setup, says: "protocol version", told: su},
		{
			name: "TLS 1.1, and a transport that would take it", server: &tls.Config{Certificates: []tls.Certificate{ca.issue(t, "127.0.0.1", later)}, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11},
			client: &tls.Config{MinVersion: tls.VersionTLS10}, class: Setup, says: "protocol version", told: su,
		},
		{
			name: "no common cipher", server: &tls.Config{Certificates: []tls.Certificate{ca.issue(t, "127.0.0.1", later)}, MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256}},
			client: &tls.Config{CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384}, MaxVersion: tls.VersionTLS12}, class: Setup, says: "handshake failure", told: su,
		},
		{name: "no TLS", class: Setup, says: "does not speak TLS", told: su},
		{name: "reset in the handshake", server: &tls.Config{Certificates: []tls.Certificate{ca.issue(t, "127.0.0.1", later)}}, faults: "reset_peer downstream timeout=0", class: Transient, told: rep(su, 6)},
		{name: "cut in the handshake", server: &tls.Config{Certificates: []tls.Certificate{ca.issue(t, "127.0.0.1", later)}}, faults: "limit_data downstream bytes=300", class: Transient, told: rep(su, 6)},
		{name: "hangs in the handshake", server: &tls.Config{Certificates: []tls.Certificate{ca.issue(t, "127.0.0.1", later)}}, faults: "timeout downstream timeout=0", class: Transient, says: "no connection to", told: rep(su, 6)},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var arrived atomic.Int64
			srv := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				arrived.Add(1)
				if r.TLS == nil || r.TLS.Version < tls.VersionTLS12 {
					t.Errorf("a request came with %+v", r.TLS)
				}
			}))
			srv.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
			seen := &tapped{Listener: srv.Listener}
			srv.Listener = seen
			if c.server == nil {
				srv.Start()
			} else {
				srv.TLS = c.server
				srv.StartTLS()
			}
			defer srv.Close()
			p := between(t, seen.Addr())
			if c.faults != "" {
				p.spoil(c.faults)
			}
			cl := testClient(t, "https://"+p.Listen, func(cf *Config) {
				conf := c.client
				if conf == nil {
					conf = &tls.Config{}
				}
				conf.RootCAs = roots
				cf.Transport = &http.Transport{TLSClientConfig: conf}
				if strings.Contains(c.name, "hangs") {
					cf.Timeout = 60 * time.Millisecond
				}
			})
			var told calls
			_, err := cl.Do(t.Context(), told.watch(&Request{
				Op: "POST /x", Method: "POST", Path: "/x", Header: http.Header{"X-Api-Key": {"canary-4711"}}, Body: []byte(`{"name":"canary-4712"}`),
			}))
			check(t, err, c.class, 0, false, c.says)
			if told.String() != c.told {
				t.Errorf("told %q, want %q", told.String(), c.told)
			}
			if n := arrived.Load(); n != 0 && c.class != "" {
				t.Errorf("%d requests arrived", n)
			}
			if text := seen.text(); strings.Contains(text, "canary") || strings.Contains(text, "POST") {
				t.Errorf("the request came in plain: %q", text)
			}
			if n := cl.Stats().Sent; c.class != "" && n != 0 {
				t.Errorf("%d sent", n)
			}
		})
	}
}

// TestTLSVersion keeps the least version whatever transport is given.
func TestTLSVersion(t *testing.T) {
	for _, given := range []http.RoundTripper{nil, &http.Transport{}, &http.Transport{TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS10}}, http.DefaultTransport} {
		rt, ours := transport(given)
		tr, ok := rt.(*http.Transport)
		if !ok || !ours || tr.TLSClientConfig.MinVersion != tls.VersionTLS12 {
			t.Errorf("%T: %T with at least %x", given, rt, tr.TLSClientConfig.MinVersion)
		}
	}
	if rt, _ := transport(&http.Transport{TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS13}}); rt.(*http.Transport).TLSClientConfig.MinVersion != tls.VersionTLS13 {
		t.Error("a stricter version was lowered")
	}
}
