"""The field's baselines, written from their papers: a module each, listed in `plugin.models`."""
