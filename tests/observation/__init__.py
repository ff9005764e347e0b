"""The tests of ``telex.observation``."""
