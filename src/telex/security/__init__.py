"""Who may talk to whom, and unseen by others: TLS and tokens."""
