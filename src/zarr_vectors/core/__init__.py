"""The layout of a Zarr Vectors store: names, codecs and cells put together."""
