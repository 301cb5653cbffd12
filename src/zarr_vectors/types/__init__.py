"""One short description per geometry kind over one shared writer."""
