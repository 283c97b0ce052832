"""Clicks: layout, initial sets for training, simulated users, error clusters, guidance, memory."""
