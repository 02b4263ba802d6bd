"""Item text: read (`reader`), encoded (`encoder`), cached by content (`cache`), whitened (`whitening`)."""
