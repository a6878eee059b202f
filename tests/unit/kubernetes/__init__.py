"""What the tests on Kubernetes decide without one."""
