"""Tests of what both clients share."""
