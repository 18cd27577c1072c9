//go:build !unix

package file

// syncFolder does nothing: this system cannot sync folders.
func syncFolder(string) error { return nil }
