"""Autoscalers: what they see of a pool, and how many nodes they want, with the reason."""
