package oauth

import (
	"sync"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/caddy-sso/caddy-sso/session"
)

// What happened, as the audit log names it.
type What string

// The events of the audit log.
const (
	SignedInEvent  What = "sign-in"
	SignInFailed   What = "sign-in failed"
	SignInLimited  What = "sign-in limited"
	CodeIssued     What = "code issued"
	CodeRedeemed   What = "code redeemed"
	CodeReused     What = "code reused"
	CodeRefused    What = "code refused"
	AccessDenied   What = "access denied"
	SessionEnded   What = "session ended"
	GrantEnded     What = "grant ended"
	CodesExhausted What = "codes exhausted"
	ClientRefused  What = "client refused" // it did not prove who it is
	ClientLimited  What = "client limited"

	TokensIssued       What = "tokens issued"
	TokensRefreshed    What = "tokens refreshed"
	TokenRefused       What = "token refused"
	RefreshReused      What = "refresh token reused"
	SeatDenied         What = "seat denied"
	Provisioned        What = "license user provisioned"
	ProvisioningFailed What = "provisioning failed"
	LicenseActivation  What = "license activation"
	LicenseRefused     What = "license activation refused"
)

// Origin is where a request came from: the address of the client, as the
// server that stands in front was configured to believe it.
type Origin string

// An Event is one line of the audit log. It has no room for a token, code,
// cookie or password.
type Event struct {
	What    What
	User    session.User
	Client  *Client
	Session *session.Session // logged as a short hash
	Grant   string
	From    Origin
	Why     string
}

// eventFields are used again, since an event is encoded before Write returns:
// they would be a fifth of what issuing a code allocates.
var eventFields = sync.Pool{New: func() any { return new([maxEventFields]zap.Field) }}

const maxEventFields = 8

// Audit writes the audit log. A nil Audit writes nothing.
type Audit struct {
	log *zap.Logger
}

// NewAudit writes events to a logger.
func NewAudit(log *zap.Logger) *Audit { return &Audit{log: log} }

// Record writes one event: at level info, or warn for what an operator should
// look into.
func (a *Audit) Record(e Event) {
	if a == nil {
		return
	}
	level := zapcore.InfoLevel
	switch e.What {
	case CodeReused, RefreshReused, CodesExhausted, SignInLimited, ClientLimited, ProvisioningFailed:
		level = zapcore.WarnLevel
	default:
	}
	entry := a.log.Check(level, string(e.What))
	if entry == nil {
		return
	}
	room := eventFields.Get().(*[maxEventFields]zap.Field)
	defer eventFields.Put(room)
	fields := room[:0]
	if e.User.Name != "" {
		fields = append(fields, zap.String("user", e.User.Name))
	}
	if e.User.Subject != "" {
		fields = append(fields, zap.String("subject", e.User.Subject))
	}
	if e.Client != nil {
		fields = append(fields, zap.String("client", e.Client.ID))
	}
	if e.Session != nil {
		fields = append(fields, zap.String("session", e.Session.ID()))
	}
	if e.Grant != "" {
		fields = append(fields, zap.String("grant", e.Grant))
	}
	if e.From != "" {
		fields = append(fields, zap.String("from", string(e.From)))
	}
	if e.Why != "" {
		fields = append(fields, zap.String("why", e.Why))
	}
	entry.Write(fields...)
}
