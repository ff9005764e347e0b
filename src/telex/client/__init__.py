"""What both clients share: the options of ``connect()``, and what the answer to a request is."""
