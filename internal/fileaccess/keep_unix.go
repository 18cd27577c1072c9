//go:build unix

package fileaccess

import (
	"os"
	"syscall"
)

// Keep gives f the mode and owner of the file that as describes.
func Keep(f *os.File, as os.FileInfo) error {
	if owner, ok := as.Sys().(*syscall.Stat_t); ok {
		now, err := f.Stat()
		if err != nil {
			return err
		}
		mine, ok := now.Sys().(*syscall.Stat_t)
		if !ok || mine.Uid != owner.Uid || mine.Gid != owner.Gid {
			if err := f.Chown(int(owner.Uid), int(owner.Gid)); err != nil {
				return err
			}
		}
	}
	return f.Chmod(as.Mode().Perm())
}
