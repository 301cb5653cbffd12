"""Pyramids under the names that other code imports them by."""
