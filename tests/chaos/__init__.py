"""The outbox under faults: real PostgreSQL, real NATS, two or three relay processes, fourteen writers, a plan made from
a seed.

``plan`` decides what fails when, ``workload`` writes and keeps the book of what it wrote, ``rig`` starts and breaks the
servers, ``succession`` loses databases, ``aside`` has parked keys replayed, ``run`` puts them together. ``checker``
judges what arrived and ``moves`` who moved which position, by what ``ledgers`` reads. ``python -m tests.chaos`` runs
one plan; ``inbox`` is a smaller world of its own, for the other end.

Here may be no test: those of the judges and of the plan are in ``tests/unit/outbox``, a short run of the whole is in
``tests/integration/outbox``. The judges import nothing of the relay: what judges it must not share its mistakes.
"""
