"""The tests of ``telex.protocol``, which cover every branch of it by themselves."""
