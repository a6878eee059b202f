"""A small client of the Kubernetes API: what the injector asks and writes, and nothing more.

``access`` says where the API server is and who asks, ``kinds`` names the resources, ``client`` asks, ``errors``
translates what comes back, ``mirror`` keeps a copy of some objects by list and watch. Nothing here knows what an
injector is. Objects are plain data as they came: whoever uses them checks them. There is no client library below it,
because the usual ones load every API type there is and so cost more memory than the whole injector.
"""
