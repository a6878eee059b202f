"""The sidecar's injection into Kubernetes pods.

``injection`` is the one function from a pod, its namespace and the settings to what becomes of it. ``form`` checks what
comes, ``decide`` says whether, ``annotations`` and ``serving`` what, ``plan`` puts that together, ``mutate`` adds it,
``patch`` names the difference: all pure. Two ways lead to it and so can't differ. Offline: ``manifests``, pure too.
In a cluster: ``server`` listens, ``reviews`` reads and writes what the API server asks and gets, ``webhook`` stands
between them and the injection, ``namespaces`` knows the defaults. Around the webhook are ``certificates`` and
``cluster`` (folders of their own), ``version``, which refuses old clusters, ``leader`` and ``pods`` for what only one
replica may do, and ``rights``: all that the injector may do in a cluster, as data.
"""
