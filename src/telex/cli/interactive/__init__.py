"""``telex connect``: sends typed lines to a server, and shows the messages of the server."""
