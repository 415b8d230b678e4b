"""Regression tests of routing: expectations, golden decisions, and what tests of routers need."""
