"""Clicks, users, guidance, memory, metrics, losses, networks and learners; nothing here imports Lightning: a tool can embed it."""
