"""The sidecar's injection into Kubernetes pods.

``injection`` is one pure function from a pod, its namespace and the settings to an outcome, and ``patch`` makes a JSON
patch of two pods. The admission webhook is one way to it: ``server`` listens, ``reviews`` reads and writes what the API
server asks and gets, ``webhook`` stands between them and the injection, ``namespaces`` knows the defaults. Around it
are ``certificates`` and ``cluster`` (folders of their own), ``version``, which refuses old clusters, ``leader`` and
``pods`` for what only one replica may do, and ``rights``: all that the injector may do in a cluster, as data.
"""
