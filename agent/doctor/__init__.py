"""`pillion doctor`: looks at everything that must work, and says of each what was found and what to do.

A check is an async function that returns findings; ``examine`` runs many at once, each within its time. What is
looked at in Kubernetes comes in through ``Api`` as plain documents, ``rules`` decides on them; what ``looks`` sees of
this machine goes to ``machine``. The checks of other capabilities are made in ``wiring``. ``catalog`` names every
finding that there is; docs/doctor.md is made of it. Nothing here prints, and nothing is ever changed.
"""
