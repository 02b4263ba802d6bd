"""Experiments with many runs: tuning and comparison."""
