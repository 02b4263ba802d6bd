"""Sites and their published files: one module a site."""
