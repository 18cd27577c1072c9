package storage

import "sync"

// atOnce is how many calls of [Each] run at the same time.
const atOnce = 16

// Each calls work for 0 to n-1, some at the same time, and returns when all are
// done: what needs many writes takes a fraction of the time where a store shares
// an fsync, or a round trip, between those that come together.
func Each(n int, work func(i int)) {
	var all sync.WaitGroup
	for worker := range min(n, atOnce) {
		all.Go(func() {
			for i := worker; i < n; i += atOnce {
				work(i)
			}
		})
	}
	all.Wait()
}
