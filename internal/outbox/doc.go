// Package outbox keeps requests on disk that were accepted to be sent later, and what became of
// them.
//
// A [Store] is a directory with an SQLite file, and one more file for each large body. [Store.Put]
// returns when a request is on disk, and shares its commit with those that come meanwhile. What it
// returned for survives a crash of the program and of the machine. [Store.Next] returns what is to
// be sent: of each client the oldest, and the clients by turns. [Store.Begin] says that a request
// is being sent, and [Store.Finish] what came of it. The body is deleted when the request is
// delivered; the answer is kept until [Store.Prune].
//
// A disk that is full or cannot be written refuses new requests and loses none: Put fails, while
// there are still 64 MiB for Finish, which makes room. If they are used up, Finish waits for more;
// [Store.Err] says what is wrong meanwhile.
//
// In memory are some 100 bytes for each request that waits; all else is read when it is asked for.
// Two processes cannot use one store, but an [OpenReader] may read it at any time. The package does
// not encrypt: what must not be on disk its caller must not put there. Content that was deleted can
// be left in parts of the file that are not in use.
package outbox
