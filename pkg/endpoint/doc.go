// Package endpoint serves metrics and probes by HTTP: at an address, with TLS where
// wanted, and to those alone who may read them.
package endpoint
