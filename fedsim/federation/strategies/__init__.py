"""Load-balancing strategies: each chooses one of the eligible candidates.

A strategy belongs to one router, so to one gateway, and sees nodes through live views. Several
nodes that are equally good take turns, unless the system that it follows does otherwise.
"""
