"""API versions: how a request names one, which one it gets, and what it is told. Pure.

``parse`` knows the forms in which a request names a version, ``resolve`` chooses from what instances really
offer, ``plan``
puts both together as ordered rules and as the headers and documents of answers. Nothing here knows Envoy.
"""
