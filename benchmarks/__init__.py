"""Benchmarks: pytest bodies (bench_*.py), and commands of their own."""
