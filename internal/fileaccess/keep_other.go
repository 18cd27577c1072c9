//go:build !unix

package fileaccess

import "os"

// Keep does nothing: access to a file depends on its folder.
func Keep(*os.File, os.FileInfo) error { return nil }
