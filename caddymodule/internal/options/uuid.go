package options

import "regexp"

var uuidPattern = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)

// IsUUID reports whether a text is a UUID in lower case.
func IsUUID(text string) bool { return uuidPattern.MatchString(text) }
