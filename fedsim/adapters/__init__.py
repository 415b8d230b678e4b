"""Routers, circuit breakers and retry policies of other projects, one file each.

Their code runs unmodified, in simulated time and with seeded randomness. Each needs its package,
an optional extra of this one, which is imported when the adapter is asked for and not before.
"""
