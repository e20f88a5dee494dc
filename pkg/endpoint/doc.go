// Package endpoint serves metrics and probes over HTTP or HTTPS. It can restrict metrics to
// clients with a certificate or a bearer token.
package endpoint
