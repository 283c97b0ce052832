"""One paper, one file: what is trained and how a batch is segmented."""
