"""The small parent process that holds the agent, Envoy and the service. Standard library only.

It imports nothing of ``agent`` and few modules at all (no typing, no dataclasses): it stays resident beside
every service. ``agent.runtime.supervised`` makes its command line, ``agent.runtime.supervisor`` speaks with
it.

What it is to do comes as one JSON object from an inherited descriptor (see ``spec``). The agent gets a
socket as ``--supervisor-fd N``, on which each message is a JSON object in one line. Requests carry ``id``
and ``do``:

    start    child, argv, env, restart    start it, or adopt what runs
    signal   child, signum
    stop     child, timeout               SIGTERM, SIGKILL after timeout seconds; answered when it has ended
    restart  child, argv, env, timeout    as stop, then start; this exit ends nothing
    state                                 nothing but an answer
    ready                                 the agent works
    serving                               the service can be called: what started this process is told so

Every message to the agent carries ``states`` (by child: pid, status, restarts, asked) and ``leaving``; an
answer also ``id`` and the child's ``state``, or ``error``. A message without ``id`` tells of a change.

Children are sessions of their own: Ctrl-C on a terminal reaches the supervisor alone, which stops them in
order; and a process without a controlling terminal can still read the terminal it was given as stdin, so
that a debugger in the service works. The kernel sends them SIGTERM when the supervisor dies.
"""
