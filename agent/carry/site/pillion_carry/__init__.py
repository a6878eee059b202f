"""The carry hook, as it runs inside a service. Standard library only, relative imports, 3.8 to 3.14.

``hook`` watches imports and patches a module when the service imports it: what the service does not use is
never loaded. ``wsgi`` and ``asgi`` note the incoming headers in ``context``; ``http_client``, ``httpcore``
and ``aiohttp`` add them to requests towards the mesh (``mesh``) where the caller set none; ``threads`` and
``greenlets`` hand the context on; ``psycopg`` adds the trace to writing statements.

Variables: ``PILLION_CARRY`` = ``off`` (nothing at all), ``debug`` (faults are printed on stderr);
``PILLION_CARRY_PORTS``: local ports that lead into the mesh; ``PILLION_CARRY_SQL`` = ``on``, ``sampled``
(only sampled traces), ``off``.

Cost, on one core of a small virtual machine: a start below 1 ms, an incoming request 3 to 5 µs, an outgoing
one 6 µs towards the mesh (the first of a request 12) and 1 µs elsewhere, a writing statement 50 to 100 µs,
most of it because it is no longer prepared.

Not covered: psycopg2, pycurl, gRPC, asyncpg (a unique text defeats its statement cache), work put on a queue
for a thread that is not an executor's, ``gevent.Greenlet(…).start()`` (an immutable type; ``gevent.spawn``
and pools are), servers not named in ``hook`` that run something else than Flask or Django.
"""
