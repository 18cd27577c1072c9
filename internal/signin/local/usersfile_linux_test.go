package local_test

import (
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

func TestAFileOfAnotherOwnerIsRefusedWithWhatToDo(t *testing.T) {
	u := newUsersFixture(t)
	if err := os.Chmod(u.path, 0); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() == 0 { // who may read every file: this thread is another user to the file system
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		if err := syscall.Setfsuid(65534); err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := syscall.Setfsuid(0); err != nil {
				t.Error(err)
			}
		}()
	}
	if err := u.method.Open(nil); err == nil || !strings.Contains(err.Error(), "make that user the owner of the file") {
		t.Error(err)
	}
}
