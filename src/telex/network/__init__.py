"""The operating system's network: resolves names, prepares sockets, listens, sends and receives.

Here the errors of the operating system become errors of Telex.
"""
