"""Rows of the service's PostgreSQL become events on a broker: at least once, in the order of each key.

Events come in from tables that the service writes or that triggers fill (``sql/``), are read as
differences of snapshots (``snapshot``, ``cursor``, ``reader``), and leave through a broker (``brokers/``). A key whose
event fails is set aside (``parked/``). The other end, where a broker's messages reach a service, is ``inbox/``.
Where the database turns out to be another one (``identity``), nothing is read until it is adopted (``adoption``).
``relay`` joins each feed; ``session`` is one membership: of its buckets ``shares`` decides and ``leases`` writes;
``holding`` has them. How fast is ``pace`` and ``latency``; ``ahead`` reads the next page while one is on its way.
Pure: ``names``, ``snapshot``, ``cursor``, ``delivery``, ``events``, ``pace``, ``shares``. Only ``database`` imports the
PostgreSQL driver, only a broker's module that broker's.
"""
