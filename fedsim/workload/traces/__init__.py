"""Recorded requests: when they came, how large they were, and what their prompts had in common.

``read_trace`` reads what was recorded, ``transform`` cuts, spreads, thins and multiplies it.
"""
