"""Telex next to its peers: the same work for each, side by side, in processes of their own.

``works`` says what is done and ``contestants`` who does it; ``schedule`` has them take turns, and
``results`` and ``budgets`` make figures of it. Who shows the figures measures nothing.
"""
