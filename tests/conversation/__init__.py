"""The tests of ``telex.conversation``, which cover every branch of it by themselves."""
