"""The Compose system as a whole, on a real Docker: ``make test-compose``.

``engine`` talks to Docker and Compose, ``layout`` says what there must be, ``system`` is what the walk of
``pillion demo`` needs. All tests share one started system, in the order that ``conftest`` gives.
"""
