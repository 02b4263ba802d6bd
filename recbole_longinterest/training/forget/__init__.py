"""Remove users from the data, caches and checkpoints of a lineage."""
