"""Read files of all formats as chunks of rows."""
