"""Bad days of Consul: one rig that plays a day, and what it is made of.

``consul``: real servers that keep their data and can lose it, with ACLs or without. ``relay``: an agent's way to
Consul, which counts what it asks and can be slow. ``crowd``: many instances that flap. ``day``: two whole agents with
their Envoys and services, traffic between them from before the event until all is well again, and the figures.
Nothing here is a test; ``test_bad_days`` has one for each day.
"""
