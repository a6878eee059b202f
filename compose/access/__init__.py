"""Who may do what in the Compose system: secrets, Consul's tokens, and their rotation.

``python -m access`` runs in the containers ``secrets`` and ``consul-acl``. Values come from the kernel's random
source and go into files of one volume per consumer, never into an environment, an argument or a log. Only
``values`` knows the folder that holds all of them; ``consumers`` says who gets what in which form, ``tokens``
talks to Consul, ``passwords`` to PostgreSQL.
"""
