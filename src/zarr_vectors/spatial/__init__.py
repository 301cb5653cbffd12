"""Arithmetic of chunks, bins and boxes, pure numpy."""
