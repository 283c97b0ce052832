"""Helpers that several tests share: drawn data, commands, quiet training, servers."""
