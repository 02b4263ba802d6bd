"""Adapt a text encoder to a data set, so that items used together get similar text vectors."""
