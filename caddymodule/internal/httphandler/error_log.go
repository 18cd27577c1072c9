package httphandler

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// SecretParams are the URL parameters that grant access, or that belong to one
// browser.
var SecretParams = []string{
	"access_token", "code", "handle", "id_token", "id_token_hint", "resume", "state", "ticket", "token",
}

// HandleError handles the error of a request after a handler of this module. Caddy
// would log it with the whole requested URL, even if the request was changed
// meanwhile. So if the URL has a secret, the error is handled here, as Caddy's server
// does, and logged without the query.
func HandleError(w http.ResponseWriter, r *http.Request, err error, log *zap.Logger) error {
	server, served := r.Context().Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	original, known := r.Context().Value(caddyhttp.OriginalRequestCtxKey).(http.Request)
	if err == nil || !served || !known {
		return err
	}
	secrets := querySecrets(original.URL.RawQuery)
	if from, parseErr := url.Parse(r.Referer()); parseErr == nil {
		secrets = append(secrets, querySecrets(from.RawQuery)...)
	}
	if len(secrets) == 0 {
		return err
	}
	var status caddyhttp.HandlerError
	if !errors.As(err, &status) || status.StatusCode == 0 {
		status = caddyhttp.HandlerError{StatusCode: http.StatusInternalServerError, Err: err, ID: status.ID, Trace: status.Trace}
	}
	ended, level := false, zapcore.DebugLevel
	if again := r.Context().Value(caddyhttp.ErrorCtxKey) != nil; !again && server.Errors != nil && len(server.Errors.Routes) > 0 {
		ended = handleError(w, r, server.Errors, &original, err)
	}
	if !ended {
		w.WriteHeader(status.StatusCode)
		if status.StatusCode >= http.StatusInternalServerError {
			level = zapcore.ErrorLevel
		}
	}
	log.Log(level, "a request ended with an error; its query has a secret, and is not logged",
		zap.Int("status", status.StatusCode), zap.String("err_id", status.ID), zap.String("err_trace", status.Trace),
		zap.String("cause", redactSecrets(status.Err, secrets)), zap.String("method", original.Method),
		zap.String("host", r.Host), zap.String("path", original.URL.EscapedPath()), zap.String("from", string(ClientOrigin(r))))
	return nil
}

// handleError runs the error routes of a server, as caddyhttp.Server.ServeHTTP does.
func handleError(w http.ResponseWriter, r *http.Request, routes *caddyhttp.HTTPErrorConfig, original *http.Request, err error) bool {
	r = routes.WithError(r, err)
	r.Method, r.RemoteAddr, r.RequestURI = original.Method, original.RemoteAddr, original.RequestURI
	asked := *original.URL
	r.URL = &asked
	none := caddyhttp.HandlerFunc(func(w http.ResponseWriter, r *http.Request) error { return err })
	return routes.Routes.Compile(none).ServeHTTP(w, r) == nil
}

// querySecrets returns the values of secret parameters in a query, both encoded and
// decoded.
func querySecrets(rawQuery string) []string {
	var values []string
	for pair := range strings.SplitSeq(rawQuery, "&") {
		name, value, _ := strings.Cut(pair, "=")
		if decoded, err := url.QueryUnescape(name); err == nil {
			name = decoded
		}
		if value == "" || !slices.Contains(SecretParams, strings.ToLower(name)) {
			continue
		}
		values = append(values, value)
		if decoded, err := url.QueryUnescape(value); err == nil && decoded != value {
			values = append(values, decoded)
		}
	}
	return values
}

// redactSecrets is the text of an error, if none of the secrets is in it.
func redactSecrets(err error, secrets []string) string {
	switch {
	case err == nil:
		return ""
	case slices.ContainsFunc(secrets, func(secret string) bool { return strings.Contains(err.Error(), secret) }):
		return "(it has a secret of the request in it)"
	}
	return err.Error()
}
