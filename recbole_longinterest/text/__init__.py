"""The text path: a title's way from the .item file through a pre-trained encoder to a whitened vector."""
