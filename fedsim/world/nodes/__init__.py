"""The kinds of nodes: slots, static batches and engines, around one life and one kind of job."""
