"""Helpers for all other packages: files, settings texts, dependencies, errors. Imports nothing else of the plugin."""
