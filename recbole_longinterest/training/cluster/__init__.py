"""One run on a Ray cluster: `recbole-li run --ray`."""
