"""The sidecar's injection into Kubernetes pods.

``injection`` is one pure function from a pod, its namespace and the settings to an outcome; it decides with
``decide``, ``plan`` and their like, and ``mutate`` has a module for each thing that is added. Two ways lead
to it. Offline: ``manifests`` reads and writes YAML around it. In a cluster: ``server`` listens, ``reviews``
reads and writes what the API server asks and gets, ``webhook`` stands between them and the injection,
``namespaces`` knows the defaults, ``patch`` says what changed. Around the webhook are ``certificates`` and
``cluster`` (folders of their own), ``version``, which refuses old clusters, ``leader`` and ``pods`` for what
only one replica may do, and ``rights``: all that the injector may do in a cluster, as data.
"""
