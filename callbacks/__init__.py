"""Lightning callbacks: simulated users, figures of an evaluation, and pages that show them."""
