"""The tests of the blocking front-end; they mirror ``src/telex/sync``."""
