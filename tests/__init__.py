"""The tests of Telex; they mirror ``src/telex``, one test file a module."""
