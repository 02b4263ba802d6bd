"""HTTP service on top of `serving`."""
