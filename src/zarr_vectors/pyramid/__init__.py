"""Pyramids: coarser levels, each a whole data set of the kind of the store."""
