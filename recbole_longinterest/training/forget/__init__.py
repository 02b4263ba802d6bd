"""Remove users from a lineage: its data, caches and checkpoints."""
