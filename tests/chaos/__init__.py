"""The outbox under faults: real PostgreSQL, real NATS, two relay processes, twelve writers, a plan made from a seed.

``plan`` decides what fails when, ``workload`` writes and keeps the book of what it wrote, ``rig`` starts and
breaks the servers, ``run`` puts them together, ``checker`` judges. ``python -m tests.chaos`` runs one plan.
Here may be no test: those of the checker and of the plan are in ``tests/unit/outbox``, a short run of the
whole is in ``tests/integration/outbox``. Nothing here imports the relay's decisions: what judges them must
not share their mistakes.
"""
