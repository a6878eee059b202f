"""Looking at this machine: ports and who has them, processes, the disk, a running agent, a collector of spans.

Everything here asks and changes nothing, except that a file is written into the state folder and taken away again.
What is seen goes to ``doctor.machine``, which decides what it means; nothing here knows what Pillion wants.
"""
