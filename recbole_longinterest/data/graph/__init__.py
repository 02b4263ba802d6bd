"""Knowledge graphs: make vectors and texts of items from RecBole's ``.kg`` and ``.link`` files."""
