"""The HTTP service over `serving`."""
