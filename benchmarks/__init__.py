"""Benchmarks of the gateway beside its peers: `python -m benchmarks` (README.md says what is measured, and how)."""
