"""The tests of what users' tests are made with; they mirror ``src/telex/testing``."""
