"""The LongInterest network (``layers``) and its RecBole contract (``long_interest``)."""
