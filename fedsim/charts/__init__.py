"""Figures, drawn from DataFrames.

Each function takes DataFrames whose columns its docstring names, and returns a ``Chart``, which is
a matplotlib figure. Importing a module of this package imports pandas and matplotlib, so the rest
of fedsim does it where a chart is asked for.
"""
