"""Patches of RecBole."""
