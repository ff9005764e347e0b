"""What a server does, as seen from outside: a log of events, metrics, traces, administration.

No module here is loaded before it is asked for; some need packages of their own (extras).
"""
