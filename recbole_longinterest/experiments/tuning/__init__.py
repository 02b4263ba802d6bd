"""Hyperparameter search with Ray Tune: the one room that imports ray."""
