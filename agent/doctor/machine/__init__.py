"""What is right and wrong on this machine. Pure: from what was seen, to findings.

A module a subject. What is seen comes from ``doctor.looks`` and, by way of ``wiring``, from other capabilities; words
of others (a process's name, a server's answer) are shown as they are, and are hostile until printed.
"""
