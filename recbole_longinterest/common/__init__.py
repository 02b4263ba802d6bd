"""What every room may use: files, settings texts, packages, errors. Imports nothing of the plugin."""
