"""Interactive segmentation without Lightning: clicks, users, guidance, memory, metrics, losses and networks.

Nothing in this package imports Lightning, so that a click tool can embed it with torch, NumPy and OpenCV alone.
"""
