"""Learning task after task without forgetting: Bayesian layers and Indian buffet gates, and the methods that CLIS is compared to."""
