"""One connection without its socket, the same at both ends and on every front-end.

Sans-I/O: time and bytes are handed in. The modules of this package are compiled where that is
possible, as those of ``telex.wire`` are.
"""
