"""Every finding that there is: docs/doctor.md is made of it, and the tests hold the checks to it.

A module a subject, pure data; what is found, and in which words, is decided where it is looked at.
"""

from agent.doctor.catalog.events import INBOX, OUTBOX
from agent.doctor.catalog.kubernetes import KUBERNETES
from agent.doctor.catalog.machine import AGENT, MACHINE
from agent.doctor.catalog.servers import CONSUL, TRACES

PARTS = (MACHINE, AGENT, CONSUL, TRACES, OUTBOX, INBOX, KUBERNETES)
