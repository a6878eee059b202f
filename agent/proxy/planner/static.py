"""A snapshot as one bootstrap file without any dynamic resource, for `pillion envoy render|validate` and tests."""

from agent.proxy.snapshot import Resource, Snapshot


def static_bootstrap(snapshot: Snapshot, bootstrap: Resource) -> Resource:
    """``bootstrap`` with the snapshot as static resources and without ADS.

    Endpoints are put into their clusters and routes into their listeners, because Envoy's ``--mode validate`` opens no
    dynamic resource.
    """
    raise NotImplementedError
