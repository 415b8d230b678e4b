"""What fedsim costs, side by side with SimPy programs and with Ciw: `python -m benchmarks`."""
