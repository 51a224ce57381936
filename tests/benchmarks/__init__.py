"""The benchmarks can be trusted."""
