"""PostgreSQL's transactions, a broker and relays in virtual time, for property tests of the relay's real decisions.

``clock`` is a loop whose time jumps, ``database`` keeps rows as PostgreSQL's snapshots see them, ``broker``
stores late and forgets to answer, ``world`` runs writers, relays and faults from a seed, ``mutants`` are wrong
relays that the tests must find out. No sockets, no real time, nothing random but the seed.
"""
