"""The comparison: the same data for every model, both protocols, seeds, slices, significance; `recbole-li compare`."""
