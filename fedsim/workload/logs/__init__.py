"""Logs of requests that were measured: which column is which, what failed, what is wrong."""
