"""Cells: bytes to numpy and back, pure functions."""
