"""The sidecar's injection into Kubernetes pods.

``injection`` is the one function from a pod, its namespace and the settings to what becomes of it; both ways in use
it, so that they can't differ. ``form`` checks what comes, ``decide`` says whether, ``annotations`` and ``serving``
what, ``plan`` puts that together, ``mutate`` adds it, ``patch`` names the difference. ``manifests`` does it to files.
All of that is pure: pods come in as plain data, nothing is read and nobody is asked.
"""
