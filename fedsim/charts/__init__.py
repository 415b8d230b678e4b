"""Figures, drawn from DataFrames."""
