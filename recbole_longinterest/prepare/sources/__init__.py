"""Sources of raw data: one module per site."""
