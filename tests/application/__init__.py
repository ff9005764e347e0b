"""The tests of ``telex.application``."""
