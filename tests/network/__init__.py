"""The tests of ``telex.network``."""
