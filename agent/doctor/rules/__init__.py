"""What is right and wrong in a cluster. Pure: from objects of the Kubernetes API, as they came, to findings.

A module a subject. Objects are others' words: ``objects`` takes out of them what is there, whatever their shape.
"""
