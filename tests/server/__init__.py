"""The tests of ``telex.server``."""
