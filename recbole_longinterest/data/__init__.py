"""RecBole's data sets over the flat log, and their loaders."""
