"""What two ends say to each other: the handshake, requests and their answers, timeouts, the end.

Sans-I/O: time and bytes are handed in. The modules of this package are compiled where that is
possible, as those of ``telex.wire`` are.
"""
