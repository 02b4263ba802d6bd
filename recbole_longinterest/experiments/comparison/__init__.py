"""Compare models on the same data, seeds and protocols."""
