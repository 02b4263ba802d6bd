"""Raw files of a site to atomic files of RecBole."""
