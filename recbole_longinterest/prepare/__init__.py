"""Convert raw files of a site to RecBole's atomic files."""
