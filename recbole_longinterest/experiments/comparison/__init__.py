"""Models compared over the same data, seeds and protocols."""
