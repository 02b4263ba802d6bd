"""The way from an item's text to a vector, no RecBole."""
