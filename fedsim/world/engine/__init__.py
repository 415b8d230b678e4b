"""A GPU that batches continuously: an engine in plain Python, stepped between changes."""
