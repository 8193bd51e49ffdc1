// Package pool runs one function for many tasks in a bounded number of goroutines, and ends it in
// an orderly way.
//
// There is one type to reach for, [Pool]. [New] makes it, from the function that does a task,
// [Pool.Submit] hands in a task, [Pool.Drain] ends it and reports whether any task failed.
// [Pool.Wait] waits for what was submitted so far and leaves the pool open; [Pool.Resize] changes
// the number of workers while they work; [Pool.Discard] ends it without the tasks that are queued;
// [Pool.Stats] counts those that are queued, run and have ended.
//
// # How many workers
//
// As many as tasks should run at once: for work on the processor, runtime.GOMAXPROCS. If the tasks
// send through a throttle.Transport, which decides how many requests leave, as many as its limit
// may become; 256 is fine, since workers start only when there are tasks for them, and one that
// waits there costs some 5 KiB.
//
// Tasks are first come, first served, so tasks of one server, or of one customer, that have to wait
// soon have all the workers, and hold up the others. Give each of them a pool.
//
// # Under stress
//
//   - Too much work: Submit waits (backpressure) until there is room or its context ends. At most
//     min(workers, 64) accepted tasks wait to start. Tasks start in the order in which they were
//     accepted, and submitters that wait are served in the order in which they came.
//   - Tasks that fail: errors are handed to OnError one by one, counted, and all but the first
//     forgotten, so that a million of them cost no memory.
//   - Tasks that panic or call runtime.Goexit: the task has failed, and its worker goes on with the
//     next. No call that waits is left hanging.
//   - A stop in the middle: Drain takes no new work and lets all that was accepted end. When its
//     context ends first, the tasks' contexts are cancelled, and queued tasks are handed to OnError
//     with [ErrNotStarted]. Each task for which Submit returned nil is either run once or handed to
//     OnError as not started once, never both.
//   - Nothing is kept alive: the pool lets go of a task as it ends. Nothing but the first error and
//     the last Submit's context is kept.
//
// Submit, Wait and Drain are the methods that block, and each takes a context. Submit and Wait
// return when it ends. Drain returns only when all tasks have: Go cannot stop a task that ignores
// its context.
//
// # Stopping
//
// A program that is interrupted ends the context of Submit, calls [Pool.Discard], so that queued
// tasks are handed back as not started, and then Drain, with a context that gives those that run
// some time. A task that waits in a throttle.Transport has started: if that is stopped, the task
// fails with a *throttle.StopError, and nothing was sent.
//
// # From within a task
//
// A task may submit to its own pool, but if all workers wait in Submit at the same time, none is
// left to make room, and they wait until their contexts end or Drain begins. Give that Submit a
// context with a deadline, or hand new tasks to a goroutine outside of the pool. In an endless
// chain of tasks, use a fresh context for Submit; derived ones would pile up. Wait and Drain from
// within a task wait for that very task: such a Wait lasts until its context ends, such a Drain
// forever.
//
// # What it does not do
//
// It does not retry, pace or time tasks: the function does, with the packages retry and throttle
// for example. It has no priorities, returns no results (the function writes them where they
// belong) and keeps nothing on disk.
package pool
