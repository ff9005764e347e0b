"""The dissector for Wireshark, tried with tshark on what really crossed connections."""
