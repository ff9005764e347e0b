"""How Telex behaves to those who use it: one suite, for every client against every server."""
