"""The core in a loop: fetch, look, plan, act, and again. Long waits block nobody; what went wrong is shown.

It is the same core as behind `apply`: `executor.Run`, made in slices. A *pass* over a stack (`loop`) takes the newest
manifests (`feed`), looks at the account, plans, asks the guards, decides what may be done now (`permits`: mode,
suspensions, change windows, approvals), carries out a bounded slice of it, and publishes a status (`board`). A slice
does all that is ready, looks again, and ends when nothing is or its time is over; it never waits for a release or a
resize. While something is under way the next pass comes soon, else after the interval. Objects that fail are tried
again later and later; that, and nothing else, is remembered from pass to pass in memory.

What has to outlive the process is in the store of the stack (`notebook`): what people approved and suspended, and the
roads that were granted and are not at their end (`grants`). A road that an approval or a window allowed is written down
before its first request, and goes on by the rule of saved plans after a restart, a failover, or the end of the window:
a terminate that was sent is followed by its delete and, where the job is replaced, by its successor with all tasks, and
by what has to be there before. Nothing else begins outside of a window.

One replica acts for a stack (`lease`), all others watch. Every request passes a gate just before it is sent
(`traffic`): the account's bucket, then, when it changes something, the lease by a clock that goes on while the process
does not. What one request that is past the gate can still do is said there. Who was killed leaves nothing that the next
leader does not see in the account or in the store.

Each stack has a loop, a lease and a connection of its own (`fleet`), so trouble of one is told and stops no other. A
revision of the source is taken whole or not at all, for all of its stacks: the last good one stays in force. A source
without objects, or in which a stack is no more, prunes nothing.

`state` is what others are shown, `events` are the reason codes, `sites` and `loading` put the loop into the world.
"""
