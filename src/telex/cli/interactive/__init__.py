"""``telex connect``: what is typed goes to a server, and what comes from there is shown."""
