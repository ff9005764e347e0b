"""The tests of ``telex.wire``, which cover every branch of it by themselves."""
