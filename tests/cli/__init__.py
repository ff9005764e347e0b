"""The tests of the command line; they mirror ``src/telex/cli``."""
