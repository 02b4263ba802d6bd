"""All that RecBole sees of the plugin, and all that the plugin changes in it."""
