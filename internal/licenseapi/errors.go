package licenseapi

import (
	"net/http"
	"strconv"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-sso/caddy-sso/internal/httpapi"
	"github.com/caddy-sso/caddy-sso/internal/oauth"
)

// A refusal is an error in the form of this API.
type refusal struct {
	status  int
	code    string
	message string
}

// with is the refusal with a more exact message.
func (e refusal) with(message string) refusal {
	e.message = message
	return e
}

// The errors of the API.
var (
	errMissingHeaders    = refusal{http.StatusBadRequest, "missing_headers", "Some headers are missing"}
	errMissingAuthParams = refusal{http.StatusBadRequest, "authorization_missing_params", "Some parameters are missing in the authorization: "}
	errInvalidHeaders    = refusal{http.StatusBadRequest, "authorization_invalid_headers", "Invalid headers value in authorization"}
	errHMACRequired      = refusal{http.StatusBadRequest, "hmac_required", "HMAC is required algorithm"}
	errSignature         = refusal{http.StatusBadRequest, "signature_mismatch", "Signature mismatch"}
	errDate              = refusal{http.StatusBadRequest, "date_header_diff", ""}
	errAPIKey            = refusal{http.StatusBadRequest, "invalid_api_key", "Provided API key is not valid"}
	errRevoked           = refusal{http.StatusBadRequest, "revoked_api_key", "Provided API key was revoked"}
	errReadOnly          = refusal{http.StatusBadRequest, "read_only_api_key", "Provided API key is read-only"}
	errTokenExpired      = refusal{http.StatusUnauthorized, "oauth_token_expired", "Provided OAuth token has expired"}
	errTokenMalformed    = refusal{http.StatusUnauthorized, "oauth_token_malformed", "Provided OAuth token is not valid"}
	errProduct           = refusal{http.StatusBadRequest, "unknown_product", "Provided product was not found"}
	errAccount           = refusal{http.StatusBadRequest, "customer_account_not_found", "Provided customer account was not found, or has no SSO"}
	errCode              = refusal{http.StatusBadRequest, "invalid_code", "Provided code is unknown, expired, used already, or for another product or customer account"}
	errIDToken           = refusal{http.StatusUnauthorized, "invalid_id_token", "Provided token is not valid any more, or is for another product or customer account"}
	errMissing           = refusal{http.StatusBadRequest, "missing_parameters", "Some parameters are missing: "}
	errValidation        = refusal{http.StatusBadRequest, "validation_error", ""}
	errJSON              = refusal{http.StatusBadRequest, "invalid_json", "The body should be one JSON object in UTF-8, without duplicate keys"}
	errTooLarge          = refusal{http.StatusRequestEntityTooLarge, "request_too_large", "The body is larger than 1 MiB"}
	errTooSlow           = refusal{http.StatusRequestTimeout, "request_timeout", "The body took longer than 15 seconds"}
	errMethod            = refusal{http.StatusMethodNotAllowed, "method_not_allowed", "The method is not allowed"}
	errBusy              = refusal{http.StatusTooManyRequests, "too_many_requests", "Too many requests; try again later"}
	errUnavailable       = refusal{http.StatusServiceUnavailable, "service_unavailable", "Something went wrong; try again"}
)

// refusals maps each kind of error of package oauth to a refusal. Errors of the
// caller's own credential are mapped by the code that knows the kind of credential.
var refusals = map[oauth.Kind]refusal{
	oauth.Internal:                errUnavailable,
	oauth.InvalidRequest:          errValidation,
	oauth.InvalidState:            errValidation,
	oauth.UnknownClient:           errProduct,
	oauth.UnknownProject:          errProduct,
	oauth.ClientDisabled:          errProduct,
	oauth.ClientAuth:              errAPIKey,
	oauth.InvalidGrant:            errCode,
	oauth.LoginRequired:           errIDToken,
	oauth.InteractionRequired:     errIDToken,
	oauth.WrongPassword:           errIDToken,
	oauth.Denied:                  errIDToken,
	oauth.TooManyAttempts:         errBusy,
	oauth.TooManyCodes:            errBusy,
	oauth.InvalidToken:            errIDToken,
	oauth.UnauthorizedClient:      errValidation,
	oauth.UnsupportedResponseType: errValidation,
	oauth.UnsupportedGrantType:    errValidation,
	oauth.UnsupportedTokenType:    errValidation,
	oauth.RequestObject:           errValidation,
	oauth.RequestObjectURI:        errValidation,
	oauth.LinkSpent:               errCode,
	oauth.NoSeat:                  errBusy,
	oauth.Unprovisioned:           errUnavailable,
	oauth.UnknownProduct:          errProduct,
	oauth.UnknownAccount:          errAccount,
	oauth.UnknownProvider:         errValidation,
	oauth.ProviderFailed:          errUnavailable,
	oauth.Misconfigured:           errUnavailable,
	oauth.SubjectToken:            errIDToken,
	oauth.ConsentRequired:         errIDToken,
}

// refuse renders an error of package oauth. It logs an internal error, once, with its
// cause.
func refuse(w http.ResponseWriter, log *zap.Logger, e *oauth.Error) {
	r, known := refusals[e.Kind]
	if !known {
		r = errUnavailable
	}
	if r.message == "" {
		r.message = e.Description
	}
	after := e.RetryAfter
	if r.status == http.StatusServiceUnavailable {
		after = max(after, time.Second)
		log.Error("answering the License API", zap.Error(e))
	}
	httpapi.RetryAfter(w.Header(), after)
	write(w, r)
}

// Unavailable answers for an API that cannot work because of err. It uses only the
// field Log.
func (a *API) Unavailable(w http.ResponseWriter, err error) { refuse(w, a.Log, oauth.Unavailable(err)) }

// write sends an error with exactly these three members.
func write(w http.ResponseWriter, e refusal) {
	b := append(make([]byte, 0, 256), `{"status":`...)
	b = strconv.AppendInt(b, int64(e.status), 10)
	b = appendString(append(b, `,"code":`...), e.code)
	b = appendString(append(b, `,"message":`...), e.message)
	w.Header().Set("Cache-Control", "no-store")
	writeBody(w, e.status, append(b, '}'))
}
