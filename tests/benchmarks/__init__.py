"""The clients of the benchmarks notice lost, repeated and reordered messages."""
