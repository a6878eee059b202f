"""One conformance suite for all brokers, each on its real server.

``rig`` is what a broker gives the suite, ``rigs`` the table of them by name, one module a broker; ``carrier``
sends as a relay does; ``proxy`` loses, holds and cuts what goes over the network. ``test_conformance`` is the
suite: a test there names no broker.
"""
