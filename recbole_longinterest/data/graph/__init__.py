"""Knowledge graphs: from RecBole's ``.kg`` and ``.link`` files to vectors and texts of the items."""
