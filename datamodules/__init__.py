"""Lightning data modules: one data set family a file, all on the batch of `base.py`."""
