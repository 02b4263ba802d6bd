"""Clean the values of raw files: times, escaping, HTML, prices and titles."""
