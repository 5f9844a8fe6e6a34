"""Operators for images: `[n, channels, height, width]` with values in [0, 1]."""
