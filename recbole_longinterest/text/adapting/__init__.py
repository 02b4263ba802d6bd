"""Tune a text encoder so that items used together get similar vectors: adapters, InfoNCE, early stopping."""
