"""Manifests as files: a stream of YAML documents in, the same stream out, with some pod templates changed.

``split`` finds the documents without changing a byte, ``load`` reads one as Kubernetes does, ``kinds`` finds the pod
templates in it, ``dump`` writes one that was changed, ``stream`` does it for all and reports. No files are read here:
``cli`` hands texts in.
"""
