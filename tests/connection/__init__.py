"""The tests of ``telex.connection``, which cover every branch of it by themselves."""
