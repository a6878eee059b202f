"""Not there yet: the sidecar's injection into Kubernetes pods.

Here will live one pure function from a pod template, its namespace and the settings to a patch and a report,
with one module for each thing that is added, and the two ways to it: the admission webhook and `pillion
inject FILE`.
"""
