"""One run: settings, training, several processes, export."""
