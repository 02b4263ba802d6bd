"""Published baselines, written from their papers. Each has its own module; `plugin.models` lists them."""
