package portal

import (
	"context"

	"github.com/caddy-sso/caddy-sso/internal/oauth"
	"github.com/caddy-sso/caddy-sso/internal/signin/limits"
)

// What tests of this package look at, too.
const (
	DeviceLabel         = deviceLabel
	EndOthers           = endOthers
	MaxContext          = maxContext
	MaxForm             = maxForm
	MaxLogoutRequest    = maxLogoutRequest
	MaxState            = maxState
	MaxTicketRequest    = maxTicketRequest
	TransactionLifetime = transactionLifetime
	UnmarkedLifetime    = unmarkedLifetime
	WidgetLifetime      = widgetLifetime
)

type (
	KnownDevice  = knownDevice
	TicketAnswer = ticketAnswer
)

var DeviceName = deviceName

// AuthorizationOf returns the authorization request that a sign-in page is for.
func (h *Hosted) AuthorizationOf(ctx context.Context, page, rawQuery string) (*oauth.Authorization, *oauth.Error) {
	p, refusal := h.contextOf(ctx, page, rawQuery)
	return p.authorization, refusal
}

// Turns are where sign-ins by a password wait.
func (h *Hosted) Turns() *limits.Turns { return &h.turns }

// Returning is where sign-ins at a provider wait.
func (h *Hosted) Returning() *limits.Queues { return &h.returning }
