//go:build !unix

package file

// syncFolder does nothing: folders cannot be written to the disk here.
func syncFolder(string) error { return nil }
