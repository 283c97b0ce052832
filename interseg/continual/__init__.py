"""Learning task after task without forgetting: CLIS' layers and gates, and its baselines."""
