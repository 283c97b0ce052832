"""Networks that ship, a checkpoint each; `configs/checkpoints.py` finds them by name. A package, so that they are installed."""
