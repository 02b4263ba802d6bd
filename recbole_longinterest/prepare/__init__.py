"""Raw files of a data set's site to RecBole's atomic files, with a report of what was read, changed and dropped."""
