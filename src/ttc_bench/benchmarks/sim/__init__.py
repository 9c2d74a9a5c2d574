"""The generators of the simulated benchmarks."""
