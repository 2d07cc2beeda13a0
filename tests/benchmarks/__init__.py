"""Benchmarks: `python -m tests.benchmarks.<name>`. Not collected by pytest; README.md has the figures."""
