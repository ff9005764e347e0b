"""Those who are compared, one module a peer; each has a list ``CONTESTANTS`` of what it offers.

To add one: write its module, and name it in ``catalogue``.
"""
