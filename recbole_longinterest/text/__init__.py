"""Make vectors of item texts, without RecBole."""
