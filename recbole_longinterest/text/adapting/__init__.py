"""Tune a text encoder so that items that go together have near vectors: adapters, InfoNCE, early stopping."""
