package local

import "github.com/caddy-sso/caddy-sso/internal/jsonlines"

// What tests of this package look at, too.
var UsersKind = usersKind

// File is the file of users.
func (l *Method) File() *jsonlines.File { return l.file }
