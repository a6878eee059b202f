"""`pillion demo`: obtains real servers, starts them and the sample services, and walks through the
capabilities.

``components`` is the one table of what is obtained, ``obtain``, ``build`` and ``maven`` obtain it, ``backing`` starts
and stops the servers, for the demo and for the tests. ``stage`` puts the whole system up, ``walk`` tries each
capability on real traffic, in this or any other ``system`` of the same services. The sample services and the
go.mod files, and what else pins a server's parts, come from ``compose/`` and are found as package data.
"""
