"""What to read, and the one way of reading it."""
