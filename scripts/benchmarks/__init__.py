"""What scripts/benchmark.py measures, a module a command."""
