"""The operating system's network: names resolved, sockets prepared and opened to listen.

The operating system's errors become those of Telex here.
"""
