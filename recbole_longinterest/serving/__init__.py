"""Serve a trained model: histories, states, recommendations, explanations; without RecBole and ray."""
