"""Turns the completed models of a scenario file into the frozen values that a run takes."""
