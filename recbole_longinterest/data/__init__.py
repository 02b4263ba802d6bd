"""RecBole's data sets in flat form, and their loaders."""
