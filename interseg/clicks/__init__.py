"""Clicks: their layout, the sets that training starts from, the users who click, where predictions are wrong, guidance, the memory."""
