"""The conversations of the specification as data, and what plays and judges them over sockets."""
