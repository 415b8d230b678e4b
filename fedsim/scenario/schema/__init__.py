"""The scenario file's keys, their types, defaults and meaning, as pydantic models.

The models know nothing of each other's names: whether a pool's region exists is checked elsewhere,
over the raw values, so that all errors come at once. Their fields are the file's keys; where a key
has a unit, the field holds SI units (seconds, requests per second, shares of 1; dollars per hour).
"""
