"""Keys that are set aside, so that one that fails holds up no other.

A key is *held* when its message fails for a while though others get through: the owner tries it again by itself. It is
*parked* when its message was refused: a person decides. Its rows stay in the table that they were read from, their
numbers come into ``held_row``. Here live the owner's side (``shelf``, ``replay``, with the SQL in ``ledger``), the
decisions (``keys``, ``patience``: pure) and what a person does (``desk``). What is sent, and when, is said by
``delivery``, ``turns`` and ``courier``; nothing here knows a broker.

Crash points, in the order of what happens:

* Before the append is committed: the place has not moved, the page is read again.
* Between the append and the saved place: the page is read again, the rows' key is known, and appending what is there
  already does nothing. If the key was replayed in between, its rows may be appended or sent once more: late
  duplicates, and first occurrences stay in order.
* Between an acknowledgement in a replay and the deletion of the row: the row is sent again before those behind it.
* Between the last deletion and the key's becoming free: the key is still known, its new rows are appended, and the
  next replay sends them. A key is never free while it has a row: the reference of ``held_row`` refuses that.
* Within the process at one row: see ``unclean`` and ``attempting`` in ``leases``, and ``tries`` in ``replay``.

Every statement of an owner locks the bucket's row and compares the epoch: who lost the bucket changes nothing.
"""
