"""From an item's text to a vector, without RecBole."""
