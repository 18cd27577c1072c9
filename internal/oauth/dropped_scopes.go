package oauth

import (
	"slices"
	"strings"

	"go.uber.org/zap"

	"github.com/caddy-sso/caddy-sso/internal/logthrottle"
)

// droppedScopes are the requested scopes that are not granted, because the client is
// not registered for them. Nil: none.
func droppedScopes(asked, granted []string) []string {
	if len(asked) == len(granted) {
		return nil
	}
	var out []string
	for _, scope := range asked {
		if !slices.Contains(granted, scope) && (scope != offlineAccess || !slices.Contains(granted, offline)) {
			out = append(out, scope)
		}
	}
	return out
}

// DroppedScopes logs the requested scopes that are not granted, once a minute for
// each client.
type DroppedScopes struct {
	log   *zap.Logger
	lines logthrottle.ByKind // by client
}

// NewDroppedScopes returns a DroppedScopes that writes to a logger.
func NewDroppedScopes(log *zap.Logger) *DroppedScopes { return &DroppedScopes{log: log} }

func (s *Server) noteDropped(c *Client, scopes []string, from Origin) {
	if len(scopes) == 0 || s.DroppedScopes == nil {
		return
	}
	n := s.DroppedScopes.lines.Of(c.ID).Due(s.Now())
	if n == 0 {
		return // the next line is not due yet
	}
	s.DroppedScopes.log.Warn("a client asks for scopes that it is not registered for, so they are not granted; add them to the client's setting scope, or remove them from its requests",
		zap.String("client", c.ID), zap.String("name", c.Name), zap.String("scopes", loggable(strings.Join(scopes, " "))),
		zap.String("from", string(from)), zap.Int("requests", n))
}
