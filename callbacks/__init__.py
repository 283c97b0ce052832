"""Lightning callbacks: the simulated user, the figures of an evaluation, and what is drawn of them."""
