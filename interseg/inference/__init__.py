"""Answers at test time: what a network is shown, refinement until clicked pixels have their labels."""
