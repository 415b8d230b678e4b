"""What requests arrive at: regions, nodes, networks, faults and clients, as SimPy processes."""
