package main

import (
	"context"
	"fmt"
	"net/http"

	"github.com/spf13/cobra"

	"github.com/xdp-port/xdp-port/pkg/cluster"
	"github.com/xdp-port/xdp-port/pkg/endpoint"
)

// addServing adds the flags of commands that serve metrics.
func addServing(command *cobra.Command, o *endpoint.Options, address string) {
	flags := command.Flags()
	flags.StringVar(&o.Address, "listen", address, "serve at this address, HOST:PORT; without HOST at all of the node's")
	flags.StringVar(&o.CertFile, "tls-cert", "", "serve by HTTPS with this certificate, read again when it is renewed")
	flags.StringVar(&o.KeyFile, "tls-key", "", "the key of --tls-cert")
	flags.StringVar(&o.ClientCAFile, "client-ca", "",
		"let only those read metrics that show a certificate signed by one of these authorities")
	flags.BoolVar(&o.RequireToken, "require-token", false,
		"let only those read metrics that bring a bearer token of the cluster (TokenReview) whose user may get /metrics "+
			"(SubjectAccessReview); by HTTPS, without --tls-cert by a certificate made on the spot")
	command.MarkFlagsRequiredTogether("tls-cert", "tls-key")
	command.MarkFlagsMutuallyExclusive("client-ca", "require-token")
}

// checkServing returns an error for flags that mean nothing.
func checkServing(o endpoint.Options) error {
	if err := checkListen(o.Address); err != nil {
		return err
	}
	return o.Check()
}

// authorizer returns who decides about tokens, where they are wanted.
func authorizer(o endpoint.Options) (endpoint.Authorize, error) {
	if !o.RequireToken {
		return nil, nil
	}
	client, err := cluster.InCluster(cluster.ServiceAccountFolder)
	if err != nil {
		return nil, fmt.Errorf("--require-token: %w", err)
	}
	return client.MayGet, nil
}

// serve serves until the context is done.
func (t *tool) serve(ctx context.Context, o endpoint.Options, handler http.Handler) error {
	server, err := endpoint.Listen(o, handler)
	if err != nil {
		return err
	}
	fmt.Fprintf(t.err, "serving %s/metrics, Ctrl-C ends it\n", server.URL)
	return server.Serve(ctx)
}
