// Package journal remembers on disk what was delivered and what was not, so that a run that was
// broken off can go on.
//
// A journal is one SQLite file with a row for each item. [Open] takes its lock and reads a small
// index into memory; [Journal.Claim] then answers from there whether an item needs to be sent.
// [Journal.Put] records an outcome soon: a row shares its commit with those of the next 10 ms,
// unless it is the first in that time, 128 rows have come together, somebody waits for the writer,
// or it was begun before. [Journal.Begin] records that an item is about to be sent and returns when
// that is on disk, for what cannot be repeated safely.
//
// A row whose done function was called without an error survives a crash of the program and of the
// machine. When a commit fails, [Journal.Failed] reports it at once, the rows are kept, and
// [Journal.Close] tries them again.
//
// While a run is going on the file is in WAL mode and can be read by others, as with [OpenReader]
// or the sqlite3 tool. At rest it is a single file that can be read without writing anything beside
// it.
//
// Two runs cannot use one journal: the second gets an [*InUseError]. Runs of shards of the same
// work have a journal each, and [Merge] has one journal know what others know. A run for items of
// which a journal does not have all that was done gets a [*ShardError].
package journal
