"""The xDS management server: snapshots go to Envoy over one aggregated stream on a unix socket.

``delivery`` decides what to send next and ``lanes`` remembers, per resource type, what Envoy holds; both are
pure. ``encode`` turns Envoy's JSON form into protobuf, ``store`` keeps the last good snapshot on disk,
``server`` does the I/O. A snapshot comes in by a ``Latest`` cell; what Envoy says of it leaves as a
``Revision``.
"""
