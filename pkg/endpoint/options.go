package endpoint

import (
	"errors"
	"fmt"

	"github.com/xdp-port/xdp-port/pkg/cluster"
)

// Options choose where to serve, and to which clients.
type Options struct {
	// Address is HOST:PORT. Without a host it is every address of the node.
	Address string
	// CertFile and KeyFile are the server's certificate. They are loaded for each connection,
	// so that they can be renewed.
	CertFile, KeyFile string
	// ClientCAFile has certificate authorities. Clients then need a certificate signed by one
	// of them to read metrics. It requires CertFile.
	ClientCAFile string
	// RequireToken requires a bearer token that Authorize accepts to read metrics. Without
	// CertFile the server makes its own certificate, so that tokens are encrypted.
	RequireToken bool
}

// Check returns an error for options that contradict each other.
func (o Options) Check() error {
	if err := CheckAddress(o.Address); err != nil {
		return fmt.Errorf("address %q: %w", o.Address, err)
	}
	switch {
	case (o.CertFile == "") != (o.KeyFile == ""):
		return errors.New("a certificate needs its key, and a key its certificate")
	case o.ClientCAFile != "" && o.CertFile == "":
		return errors.New("certificates of clients require a certificate of the server")
	case o.ClientCAFile != "" && o.RequireToken:
		return errors.New("require certificates or tokens of clients, not both")
	}
	return nil
}

// IsPublic reports whether any client may read metrics.
func (o Options) IsPublic() bool { return o.ClientCAFile == "" && !o.RequireToken }

func (o Options) hasTLS() bool { return o.CertFile != "" || o.RequireToken }

// Authorizer returns what decides about tokens: the API server of the cluster. It returns nil
// if no tokens are required.
func (o Options) Authorizer() (Authorize, error) {
	if !o.RequireToken {
		return nil, nil
	}
	client, err := cluster.InCluster(cluster.ServiceAccountFolder)
	if err != nil {
		return nil, err
	}
	return client.MayGet, nil
}
