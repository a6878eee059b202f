"""The sidecar's injection into Kubernetes pods.

``injection`` is the one function from a pod, its namespace and the settings to what becomes of it; both ways in use
it, so that they can't differ. ``form`` checks what comes, ``decide`` says whether, ``annotations`` and ``serving``
what, ``plan`` puts that together, ``mutate`` adds it, ``patch`` names the difference. ``manifests`` does it to files.
All of that is pure: pods come in as plain data, nothing is read and nobody is asked.

Around it is the webhook: ``server`` listens, ``reviews`` reads and writes what the API server asks and gets,
``webhook`` stands between them and the injection, ``namespaces`` knows the defaults; ``certificates`` and ``cluster``
are folders of their own, ``version`` refuses old clusters, ``leader`` and ``pods`` are for what only one replica may
do. ``rights`` is all that the injector may do in a cluster, as data.
"""
