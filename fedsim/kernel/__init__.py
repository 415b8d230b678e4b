"""Simulated time: SimPy's environment, coroutines on its event queue, and named random streams."""
