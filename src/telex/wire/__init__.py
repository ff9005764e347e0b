"""The wire format, version 1: bytes in, messages out, and back.

Sans-I/O: bytes are handed in, so nothing here knows a socket, a selector, a clock, a thread or an
event loop. The modules of this package are compiled with mypyc where that is possible, and run as
they stand everywhere else. Their public names are exported by ``telex``.
"""
