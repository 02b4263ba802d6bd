"""Adapt a text encoder to what goes together in a data set: from its training part to an encoder folder."""
