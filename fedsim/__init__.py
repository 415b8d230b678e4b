"""A discrete-event simulator of a federation of GPU inference nodes."""

__version__ = "0.1.0"
