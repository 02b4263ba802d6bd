"""Values of raw files: times, escapes, HTML, prices and titles of shops."""
