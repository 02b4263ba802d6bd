"""Models computed in one step from the training data: linear models and nearest neighbours."""
