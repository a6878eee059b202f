"""Pillion on a real Kubernetes: ``make test-kubernetes``.

``cluster`` finds one, ``images`` brings the images there, ``kube`` and ``helm`` talk to it, ``install`` says what is
installed once for all tests, ``load`` sends requests from a pod, ``evidence`` keeps what a failed test leaves. The
order of the modules is ``conftest``'s: what only looks comes first, what destroys last. ``control_plane`` is an API
server alone, for the tests of the injector that need no pods.
"""
