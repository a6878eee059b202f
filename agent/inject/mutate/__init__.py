"""What is added to a pod, a module each: pure functions from a part of the pod and the plan to the part as it is to be.

Nothing that was given is altered, and nothing is decided here that the plan holds. Each thing that is added is noted
in a ``marker.Added``, from which ``marker`` takes it out again.
"""
