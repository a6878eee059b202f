"""Hosts that a service never asks for through its sidecar."""

LOCAL = ("localhost", "127.0.0.1", "::1")
"""The machine itself."""

METADATA = (
    "169.254.169.254",  # instance metadata of AWS, Azure, Google, OpenStack
    "169.254.170.2",  # credentials of ECS tasks
    "169.254.170.23",  # credentials of EKS pods
    "fd00:ec2::254",
    "metadata.google.internal",
    "100.100.100.200",  # instance metadata of Alibaba
    "168.63.129.16",  # Azure's platform address
)
"""The cloud's own services for a machine."""
