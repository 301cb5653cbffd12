"""What users hold: stores, levels, and the verbs open, create and write."""
