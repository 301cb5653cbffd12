"""One file per exchange format, found through a registry."""
