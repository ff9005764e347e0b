"""What Telex costs, measured: ``python -m benchmarks codec`` and ``python -m benchmarks large``.

A benchmark measures and judges; it never fails because a machine is slow. Nothing is measured once,
and whatever is compared takes turns, so that both meet the same disturbances.
"""
