"""A soak: clients of all sorts at one server, good and bad ones, for as long as asked.

``python -m tests.soak`` (or ``make soak``) does the following for each server:

- ``server`` serves ``application`` in a process of its own, with tokens, TLS, and limits that are
  low enough to be reached. Its logging filters and observers raise at random (``disturbances``).
- ``crowd`` lives in another process: two hundred ``clients`` in threads and tasks, directly and
  through networks with faults. Requests of good clients are in the ``ledger``.
- ``soak`` has the crowd warm the server up, lets both processes count what they hold
  (``counters``), has the crowd live for as long as asked, and counts again. Whatever is not back
  where it was, each request that was not answered once with its own answer, and each fault in a log
  is a problem; ``report`` tells all of it.

``faults`` are planted by the tests of this package, to see that the soak finds them.
"""
