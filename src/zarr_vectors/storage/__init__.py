"""The only place that touches zarr, files and networks: fetch a round, commit a batch."""
