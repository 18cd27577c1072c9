//go:build unix

package file

import (
	"errors"
	"os"
)

// syncFolder syncs a folder, so that a renamed file keeps its name if the machine
// crashes.
func syncFolder(path string) error {
	folder, err := os.Open(path) //nolint:gosec // the operator chose the path
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}
