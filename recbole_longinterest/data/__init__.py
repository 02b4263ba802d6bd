"""The data path: the flat event log, its windows, the data set and the training loader."""
