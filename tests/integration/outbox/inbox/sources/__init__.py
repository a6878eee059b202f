"""One suite over every broker that the inbox reads, each on its real server.

``feeds`` holds what a test needs of a broker, ``rig`` puts a service and a database beside it. What the relay's own
brokers send is what is read: events are published by them.
"""
