"""The regression guard: how many instructions a message takes, held to figures that are kept.

Instructions are counted by callgrind, which runs a program on a processor of its own. They say
less than seconds, but the same on a busy machine as on an idle one, so that a change can be held to
them. ``work`` is what is counted, ``callgrind`` counts, ``figures`` compares and keeps, ``check``
is the whole of it.
"""
