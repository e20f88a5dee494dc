package endpoint

import (
	"errors"
	"fmt"

	"github.com/xdp-port/xdp-port/pkg/cluster"
)

// Options say where to serve, and to whom.
type Options struct {
	// Address is HOST:PORT; without a host it is every address of the node.
	Address string
	// CertFile and KeyFile are the server's certificate. They are read again for
	// each connection, so that they can be renewed.
	CertFile, KeyFile string
	// ClientCAFile has the authorities of clients, of which then one must have
	// signed the certificate of whoever reads metrics. It is for tls-cert alone.
	ClientCAFile string
	// RequireToken has whoever reads metrics bring a bearer token that Authorize
	// accepts. Without CertFile the server's certificate is then made on the spot:
	// no token is to be sent in the clear.
	RequireToken bool
}

// Check returns what is wrong with the options by themselves.
func (o Options) Check() error {
	if err := CheckAddress(o.Address); err != nil {
		return fmt.Errorf("address %q: %w", o.Address, err)
	}
	switch {
	case (o.CertFile == "") != (o.KeyFile == ""):
		return errors.New("a certificate and its key go together")
	case o.ClientCAFile != "" && o.CertFile == "":
		return errors.New("clients show certificates only to a server that has one")
	case o.ClientCAFile != "" && o.RequireToken:
		return errors.New("clients show a certificate or a token, not both")
	}
	return nil
}

// IsPublic tells whether metrics are for everyone who reaches the address.
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
