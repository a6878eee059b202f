"""The webhook's certificate: made and rotated here, or read from files; and the CA in the webhook configuration.

Pure: ``making`` makes keys and certificates, ``authorities`` says which CAs there are to be, ``bundle`` what the
webhook configuration is to hold. ``made`` and ``files`` are the two components that act, one of which runs; both load
``tls``, the context that the server listens with, and write the cell of ``state``, which readiness is made of. Private
keys are in memory, and the CA's in its Secret; none is written to a disk here.
"""
