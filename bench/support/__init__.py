"""What the benchmarks share: servers of their own, programs beside them, and what those cost."""
