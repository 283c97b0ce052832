"""Volumes: proxy masks from labelled slices by registration, the user who labels, measures."""
