package endpoint

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/xdp-port/xdp-port/pkg/cluster"
)

// authority signs certificates.
type authority struct {
	*testing.T
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	file        string
}

func newAuthority(t *testing.T) *authority {
	a := &authority{T: t, file: filepath.Join(t.TempDir(), "ca.crt")}
	a.certificate, a.key = a.sign(&x509.Certificate{
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign, Subject: pkix.Name{CommonName: "ca"},
	})
	a.write(a.file, "CERTIFICATE", a.certificate.Raw)
	return a
}

func (a *authority) must(err error) {
	a.Helper()
	if err != nil {
		a.Fatal(err)
	}
}

func (a *authority) write(path, kind string, content []byte) {
	a.Helper()
	a.must(os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: content}), 0o600))
}

// sign makes a certificate. It is self-signed if there is no authority yet.
func (a *authority) sign(template *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
	a.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	a.must(err)
	template.SerialNumber, err = rand.Int(rand.Reader, big.NewInt(1<<62))
	a.must(err)
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	parent, by := a.certificate, a.key
	if parent == nil {
		parent, by = template, key
	}
	text, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), by)
	a.must(err)
	certificate, err := x509.ParseCertificate(text)
	a.must(err)
	return certificate, key
}

// issue writes a certificate for a name, and its key.
func (a *authority) issue(name string) (certFile, keyFile string) {
	a.Helper()
	folder := a.TempDir()
	certFile, keyFile = filepath.Join(folder, "tls.crt"), filepath.Join(folder, "tls.key")
	a.reissue(name, certFile, keyFile)
	return certFile, keyFile
}

func (a *authority) reissue(name, certFile, keyFile string) {
	a.Helper()
	certificate, key := a.sign(&x509.Certificate{
		Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	})
	text, err := x509.MarshalPKCS8PrivateKey(key)
	a.must(err)
	a.write(keyFile, "PRIVATE KEY", text)
	a.write(certFile, "CERTIFICATE", certificate.Raw)
}

// client trusts the authority and has a certificate if there is one.
func (a *authority) client(certificates ...tls.Certificate) *http.Client {
	pool := x509.NewCertPool()
	pool.AddCert(a.certificate)
	return &http.Client{Timeout: time.Minute, Transport: &http.Transport{
		DisableKeepAlives: true,
		TLSClientConfig:   &tls.Config{RootCAs: pool, ServerName: serverName, Certificates: certificates},
	}}
}

// serverName is the name in the server's certificate.
const serverName = "node"

// serve serves /metrics as the options say, and /healthz to all.
func serve(t *testing.T, o Options, authorize Authorize) string {
	t.Helper()
	o.Address = "127.0.0.1:0"
	mux := http.NewServeMux()
	answer := func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, "answer") }
	mux.Handle("/metrics", Guard(o, authorize, http.HandlerFunc(answer)))
	mux.HandleFunc("/healthz", answer)
	server, err := Listen(o, mux)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return server.URL
}

// want checks the code for a path and returns the serial number of the server's certificate.
func want(t *testing.T, client *http.Client, url string, code int, authorization ...string) (serial string) {
	t.Helper()
	request, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range authorization {
		request.Header.Set("Authorization", text)
	}
	response, err := client.Do(request)
	if err != nil {
		t.Errorf("%s: %v", url, err)
		return ""
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != code || (string(text) == "answer") != (code == http.StatusOK) {
		t.Errorf("%s %v: %d %s (%v), want %d", url, authorization, response.StatusCode, text, err, code)
	}
	if response.TLS == nil {
		return ""
	}
	return response.TLS.PeerCertificates[0].SerialNumber.String()
}

func TestPublic(t *testing.T) {
	url := serve(t, Options{}, nil)
	want(t, http.DefaultClient, url+"/metrics", http.StatusOK)
}

// TestCertificate renews the files while it serves, also in two halves.
func TestCertificate(t *testing.T) {
	a := newAuthority(t)
	cert, key := a.issue(serverName)
	url := serve(t, Options{CertFile: cert, KeyFile: key}, nil)
	client := a.client()
	first := want(t, client, url+"/metrics", http.StatusOK)
	a.must(os.WriteFile(cert, nil, 0o600))
	if half := want(t, client, url+"/metrics", http.StatusOK); half != first {
		t.Error("another certificate, though the file is empty")
	}
	a.reissue(serverName, cert, key)
	if renewed := want(t, client, url+"/metrics", http.StatusOK); renewed == first {
		t.Error("the old certificate, though there is a new one")
	}
}

// TestClientCertificate serves metrics to clients with a certificate of the right authority,
// and probes to all.
func TestClientCertificate(t *testing.T) {
	a, stranger := newAuthority(t), newAuthority(t)
	cert, key := a.issue(serverName)
	url := serve(t, Options{CertFile: cert, KeyFile: key, ClientCAFile: a.file}, nil)
	load := func(cert, key string) tls.Certificate {
		pair, err := tls.LoadX509KeyPair(cert, key)
		a.must(err)
		return pair
	}
	want(t, a.client(load(a.issue("prometheus"))), url+"/metrics", http.StatusOK)
	want(t, a.client(), url+"/metrics", http.StatusUnauthorized)
	want(t, a.client(), url+"/healthz", http.StatusOK)
	// Clients only offer certificates that the server asks for: offer it anyway.
	other := load(stranger.issue("prometheus"))
	client := a.client()
	client.Transport.(*http.Transport).TLSClientConfig.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		return &other, nil
	}
	if response, err := client.Get(url + "/metrics"); err == nil {
		response.Body.Close()
		t.Errorf("a stranger's certificate: %s", response.Status)
	}
}

// TestToken asks about each token once a minute, and encrypts.
func TestToken(t *testing.T) {
	var asked atomic.Int32
	down := new(atomic.Bool)
	url := serve(t, Options{RequireToken: true}, func(_ context.Context, token, path string) (bool, error) {
		asked.Add(1)
		switch {
		case down.Load():
			return false, errors.New("the API server is down")
		case token == "nobody":
			return false, cluster.ErrNoUser
		}
		return token == "good" && path == "/metrics", nil
	})
	client := &http.Client{Timeout: time.Minute, Transport: &http.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
	}}
	for range 3 {
		want(t, client, url+"/metrics", http.StatusOK, "Bearer good")
		want(t, client, url+"/metrics", http.StatusForbidden, "Bearer other")
		want(t, client, url+"/metrics", http.StatusUnauthorized, "bearer nobody")
		want(t, client, url+"/metrics", http.StatusUnauthorized)
		want(t, client, url+"/metrics", http.StatusUnauthorized, "Basic good")
		want(t, client, url+"/healthz", http.StatusOK)
	}
	if got := asked.Load(); got != 3 {
		t.Errorf("asked %d times about three tokens", got)
	}
	down.Store(true)
	want(t, client, url+"/metrics", http.StatusServiceUnavailable, "Bearer new")
	down.Store(false)
	want(t, client, url+"/metrics", http.StatusForbidden, "Bearer new")
	for i := range 2 * mostAnswers {
		want(t, client, url+"/metrics", http.StatusForbidden, fmt.Sprint("Bearer stranger", i))
	}
	want(t, client, url+"/metrics", http.StatusOK, "Bearer good")
}

func TestOptions(t *testing.T) {
	const address = "127.0.0.1:9435"
	for _, o := range []Options{
		{},
		{Address: "foo"},
		{Address: "1:2:3"},
		{Address: address, CertFile: "c"},
		{Address: address, KeyFile: "k"},
		{Address: address, ClientCAFile: "c"},
		{Address: address, CertFile: "c", KeyFile: "k", ClientCAFile: "c", RequireToken: true},
	} {
		if err := o.Check(); err == nil {
			t.Errorf("%+v is taken", o)
		}
	}
	for _, address := range []string{address, ":9435", "[::1]:9435", "[10.0.0.1]:9435", "localhost:9435"} {
		if err := (Options{Address: address}).Check(); err != nil {
			t.Error(err)
		}
	}
	if _, err := Listen(Options{Address: address, CertFile: "none", KeyFile: "none"}, nil); err == nil {
		t.Error("it serves without its certificate")
	}
}
