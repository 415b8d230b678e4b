"""Faults: what goes wrong with nodes and with the links to them, as SimPy processes."""
