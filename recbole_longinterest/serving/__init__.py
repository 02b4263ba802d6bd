"""A trained model in a process of its own: histories, states, recommendations, explanations. No RecBole, no ray."""
