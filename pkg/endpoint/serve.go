package endpoint

import (
	"context"
	"errors"
	"net"
	"net/http"
	"time"
)

// Server serves a handler at an address.
type Server struct {
	// URL is the address, without a path.
	URL string

	listener net.Listener
	http     *http.Server
	hasTLS   bool
}

// Listen opens the address. The caller must call Serve or Close.
func Listen(o Options, handler http.Handler) (*Server, error) {
	if err := o.Check(); err != nil {
		return nil, err
	}
	s := &Server{hasTLS: o.hasTLS(), http: &http.Server{
		Handler: handler, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute,
		WriteTimeout: time.Minute, MaxHeaderBytes: 64 << 10,
	}}
	scheme := "http"
	if s.hasTLS {
		certificates, err := newCertificates(o)
		if err != nil {
			return nil, err
		}
		s.http.TLSConfig = certificates.config()
		scheme = "https"
	}
	listener, err := net.Listen("tcp", o.Address)
	if err != nil {
		return nil, err
	}
	s.listener = listener
	s.URL = scheme + "://" + listener.Addr().String()
	return s, nil
}

// Close closes the address of a server that does not Serve.
func (s *Server) Close() error { return s.listener.Close() }

// Serve serves until the context is done.
func (s *Server) Serve(ctx context.Context) error {
	context.AfterFunc(ctx, func() {
		const patience = 5 * time.Second
		ending, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		_ = s.http.Shutdown(ending)
	})
	serve := s.http.Serve
	if s.hasTLS {
		serve = func(l net.Listener) error { return s.http.ServeTLS(l, "", "") }
	}
	if err := serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// Guard returns a handler that refuses clients without the certificate or token that the
// options require.
func Guard(o Options, authorize Authorize, handler http.Handler) http.Handler {
	if o.IsPublic() {
		return handler
	}
	known := newTokens(authorize)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		code := http.StatusOK
		switch {
		case o.RequireToken:
			code = known.check(r)
		case r.TLS == nil || len(r.TLS.VerifiedChains) == 0:
			code = http.StatusUnauthorized
		}
		if code == http.StatusOK {
			handler.ServeHTTP(w, r)
			return
		}
		if code == http.StatusUnauthorized && o.RequireToken {
			w.Header().Set("WWW-Authenticate", "Bearer")
		}
		http.Error(w, refusals[code], code)
	})
}

// refusals say what is missing, and nothing that helps an attacker.
var refusals = map[int]string{
	http.StatusUnauthorized:       "a valid token or client certificate is required",
	http.StatusForbidden:          "the user of this token may not get this path",
	http.StatusServiceUnavailable: "the API server cannot check the token now",
}
