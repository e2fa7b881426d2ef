"""The simulated machine: virtual time, nodes, clients, stores and the faults between them."""
