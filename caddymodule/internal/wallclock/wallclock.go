// Package wallclock is the clock of this machine: for what others stamp or verify by
// theirs, such as signed requests. Everything else goes by the clock of the store.
package wallclock

import "time"

// Now is the clock of this machine.
var Now = time.Now
