"""The user's side of a connection: handlers by subject, the peer, observers, and who is notified.

Nothing here knows a socket, a thread or an event loop: each front-end runs the handlers.
"""
