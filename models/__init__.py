"""Networks that ship, a checkpoint each; `configs/checkpoints.py` finds them by name.

This is a package so that they are installed.
"""
