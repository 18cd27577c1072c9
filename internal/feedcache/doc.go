// Package feedcache keeps decoded values of a store in memory, and keeps them true
// by the store's feed of changes.
//
// A cache has one [Feed], one [Table] for each kind of value, and the running
// [Requests]. K identifies an entry, V is its value, and R is the data of one
// request.
//
// # What it promises
//
//   - A value that was read enters a table only if the feed told of no change of it
//     since the read began. A change drops it.
//   - An interruption of the feed ends an epoch. What was read in an epoch that is over
//     is unverified since the interruption: its next use asks the store.
//   - No request for a known entry waits for a silent store. The first use of an
//     unverified entry waits for [Options].Patience. Then the caller goes on by what it
//     knows, for as long as its own grace allows, and so do all other uses. The
//     entry is read again in the background until the store answers for it.
//   - Nothing is believed unchecked for more than a second once the store answers: an
//     entry that was not read again within half a second is asked for by its next use.
//   - A key for which the store does not answer holds up no other key: a store of several
//     servers may answer for the others. Of the keys that wait, a few are tried after
//     each pause, those of a server that is known to be away apart from the others. As
//     soon as the store answers for one of them, or its feed is back, all are read.
//   - An attached request ends with its entry. After an interruption, the entries of all
//     attached requests are read again. If the store does not answer, a request ends
//     when its grace is over. Eviction from a table ends no request.
//
// # What a caller must know
//
// The feed may call [Options].Changed inside a write of the store. Changed must not ask
// the store, and must not wait for anybody who does.
//
// A caller attaches a request first, and then hands [Table.Since] to [Feed.Recheck]:
// what ended between the check and the attachment ended unheard.
//
// All times are milliseconds since 1970; 0 means never.
//
// # What its users decide
//
//   - Sessions forget an entry that is gone; grants remember for ever that one has
//     ended, and believe that at any time. So [Options].Recheck ends requests by itself.
//   - The grace is a setting of one configuration, and so it comes with each use and each
//     request. Past it, an entry counts as not known: see [Feed.Ask].
//   - A recheck of a session also writes down that it is in use, and a sweep ends requests
//     of sessions that are too old: [Options].Recheck and [Options].Sweep.
//   - A grant is read with few or with all fields. A caller whose value has too few fields for
//     a use has it read again.
//
// # What it costs
//
// A hit takes one lock of one of 64 shards, and allocates nothing. An entry costs its
// key twice, and two words, over its value. An attached request costs a link that is used
// again. A Feed has one goroutine, and up to 16 while there is something to read again.
package feedcache
