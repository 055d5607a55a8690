"""The real code against the simulated account, run after run: what the simulation in the tests and `reconciler verify`
are made of.

A *process* is what `reconciler apply` and `destroy` are below the command line: plan, approval, executor, lifecycle,
the SDK's pipeline with its retries. Its *network* is a transport of the SDK's that gives every message a *fate* (lost
before or after its effect, late, doubled, its sender killed) and calls the emulator without sockets; its *clock* is an
event loop whose time jumps. A *witness* reads the emulator's own records and checks the promises on what reached the
service and on what the nodes ran. Nothing depends on real time or chance, so a run is told by its number (`seeds`) or
by the point at which a process dies (`crashes`).

Not simulated: the journal and the store fail as a machine's memory does, at once and as a whole, never in the middle of
a line; reads are never older than the request that asks for them.
"""
