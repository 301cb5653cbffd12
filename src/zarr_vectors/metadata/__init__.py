"""Documents of the format: root, level and array, as frozen models that keep unknown keys."""
