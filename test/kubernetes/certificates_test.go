package kubernetes

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// authority signs all certificates of a cluster. A folder has them as NAME.crt and NAME.key.
type authority struct {
	folder      string
	certificate *x509.Certificate
	key         crypto.Signer
	serial      int64
}

func newAuthority(folder string) (*authority, error) {
	a := &authority{folder: folder}
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: "ca"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	return a, a.write("ca", template)
}

// issue writes a certificate for a client and server.
func (a *authority) issue(name, user, group string, addresses ...string) error {
	template := &x509.Certificate{
		Subject:     pkix.Name{CommonName: user, Organization: []string{group}},
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	}
	for _, address := range addresses {
		template.IPAddresses = append(template.IPAddresses, net.ParseIP(address))
	}
	return a.write(name, template)
}

func (a *authority) write(name string, template *x509.Certificate) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	a.serial++
	template.SerialNumber = big.NewInt(a.serial)
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(24*time.Hour)
	if a.key == nil { // it signs itself
		a.certificate, a.key = template, key
	}
	signed, err := x509.CreateCertificate(rand.Reader, template, a.certificate, key.Public(), a.key)
	if err != nil {
		return err
	}
	if template.IsCA {
		if a.certificate, err = x509.ParseCertificate(signed); err != nil {
			return err
		}
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	if err := a.writePEM(name+".crt", "CERTIFICATE", signed); err != nil {
		return err
	}
	return a.writePEM(name+".key", "PRIVATE KEY", private)
}

func (a *authority) writePEM(name, kind string, content []byte) error {
	return os.WriteFile(filepath.Join(a.folder, name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: content}), 0o600)
}

// kubeconfig writes NAME.conf for the certificate NAME.
func (a *authority) kubeconfig(name, server string) error {
	text := fmt.Sprintf(`apiVersion: v1
kind: Config
clusters: [{ name: it, cluster: { server: "%[3]s", certificate-authority: %[1]s/ca.crt } }]
users: [{ name: me, user: { client-certificate: %[1]s/%[2]s.crt, client-key: %[1]s/%[2]s.key } }]
contexts: [{ name: it, context: { cluster: it, user: me } }]
current-context: it
`, a.folder, name, server)
	return os.WriteFile(filepath.Join(a.folder, name+".conf"), []byte(text), 0o600)
}
