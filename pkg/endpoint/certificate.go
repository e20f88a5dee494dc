package endpoint

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"os"
	"sync"
	"time"
)

// certificates has the server's certificate and the authorities of clients.
type certificates struct {
	options Options

	mutex sync.Mutex
	// last was loaded last without an error. A file can be half written.
	last *tls.Config
}

// newCertificates loads the files. It returns an error if they cannot be used now.
func newCertificates(o Options) (*certificates, error) {
	c := &certificates{options: o}
	config, err := c.load()
	c.last = config
	return c, err
}

// config returns a configuration that loads the files for each connection.
func (c *certificates) config() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			return c.current(), nil
		},
	}
}

func (c *certificates) current() *tls.Config {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if c.options.CertFile == "" {
		return c.last
	}
	if config, err := c.load(); err == nil {
		c.last = config
	}
	return c.last
}

func (c *certificates) load() (*tls.Config, error) {
	certificate, err := c.certificate()
	if err != nil {
		return nil, err
	}
	config := &tls.Config{
		MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{certificate},
		NextProtos: []string{"h2", "http/1.1"},
	}
	if c.options.ClientCAFile == "" {
		return config, nil
	}
	authorities, err := os.ReadFile(c.options.ClientCAFile)
	if err != nil {
		return nil, err
	}
	config.ClientCAs = x509.NewCertPool()
	if !config.ClientCAs.AppendCertsFromPEM(authorities) {
		return nil, fmt.Errorf("%s has no certificate", c.options.ClientCAFile)
	}
	// Probes have no certificate.
	config.ClientAuth = tls.VerifyClientCertIfGiven
	return config, nil
}

func (c *certificates) certificate() (tls.Certificate, error) {
	if c.options.CertFile != "" {
		return tls.LoadX509KeyPair(c.options.CertFile, c.options.KeyFile)
	}
	return selfSigned()
}

// selfSigned makes a certificate. It does not prove the identity of the server, but keeps
// tokens from being read on the way.
func selfSigned() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return tls.Certificate{}, err
	}
	const validity = 10 * 365 * 24 * time.Hour // longer than any agent runs
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: "xdp-portctl"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(validity),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames: []string{"localhost"},
	}
	text, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	return tls.Certificate{Certificate: [][]byte{text}, PrivateKey: key}, err
}
