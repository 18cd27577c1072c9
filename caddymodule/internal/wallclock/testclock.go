//go:build testclock

package wallclock

import (
	"os"
	"time"
)

// A binary that is built with the tag testclock, for tests alone, has a clock of
// the machine that is off by what the file named in SSO_TEST_CLOCK says, such as
// 70s. Go asks the kernel itself, so no preloaded library can do that.
func init() {
	Now = func() time.Time {
		text, _ := os.ReadFile(os.Getenv("SSO_TEST_CLOCK"))
		off, _ := time.ParseDuration(string(text))
		return time.Now().Add(off)
	}
}
