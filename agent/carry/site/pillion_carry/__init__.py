"""The carry hook, as it runs inside a service. Standard library only, relative imports, 3.8 to 3.14.

``hook`` watches imports and patches a module when the service imports it: what the service does not use is
never loaded. ``wsgi`` and ``asgi`` note the incoming headers in ``context``; ``http_client``, ``httpcore``
and ``aiohttp`` add them to requests towards the mesh (``mesh``) where the caller set none; ``threads``,
``queues`` and ``greenlets`` hand the context on and see that a worker made for all keeps none; ``psycopg``,
``psycopg2`` and ``asyncpg`` add the trace to writing statements; ``launchers`` keeps the hook in place behind
OpenTelemetry's launcher.

The rule of the code: what runs around the service's own calls nothing that could fail except in a ``try`` whose
``except`` calls ``faults.note``. A test makes each function raise, one by one.

Variables: ``PILLION_CARRY`` = ``off`` (nothing at all), ``debug`` (faults are printed on stderr);
``PILLION_CARRY_PORTS``: local ports that lead into the mesh; ``PILLION_CARRY_SQL`` = ``on``, ``sampled``
(only sampled traces), ``off``; ``PILLION_CARRY_ASYNCPG`` = ``on``.

What is covered, what is not and what it costs is in docs/carry.md.
"""
