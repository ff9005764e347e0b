"""The tests of ``telex.security``."""
