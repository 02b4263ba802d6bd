"""The plugin's interface to RecBole: models, patches of RecBole, and runs."""
