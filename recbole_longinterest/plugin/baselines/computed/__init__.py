"""Models that are computed in one step from the training part: linear ones and nearest neighbours."""
