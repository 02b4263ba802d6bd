"""Formats of files to chunks of rows."""
