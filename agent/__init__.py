"""Pillion: an agent process beside one HTTP service.

Folders are the architecture; dependencies point one way: cli, wiring, the capabilities (registry, proxy,
outbox, tracing, inject, admin, demo), versions, config, model, runtime. ``carry`` and ``supervise`` stand
alone on the standard library. Nothing is imported here: the supervisor and the carry hook pay for every import.
"""
