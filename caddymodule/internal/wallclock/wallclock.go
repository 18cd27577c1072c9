// Package wallclock is the clock of this machine. It is for times that other machines
// set or check with their own clocks, such as those of signed requests. Everything
// else uses the clock of the store.
package wallclock

import "time"

// Now is the clock of this machine.
var Now = time.Now
