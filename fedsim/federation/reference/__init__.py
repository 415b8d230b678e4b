"""The contracts' first implementation, faults included: what ``preset: apr`` builds.

It follows the Rust original to the order of its checks and the rounding of its averages. Two things
differ, so that a run can be repeated: time comes from a clock that is given, and seeded randomness
replaces the order of its hash maps and the wall clock that its weighted draw reads.
``docs/pitfalls.md`` says why it fails where it does.
"""
