//go:build unix

package file

import (
	"errors"
	"os"
)

// syncFolder sees that a file that was renamed keeps its name over a sudden end of
// the machine.
func syncFolder(path string) error {
	folder, err := os.Open(path) //nolint:gosec // the operator chose the path
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}
