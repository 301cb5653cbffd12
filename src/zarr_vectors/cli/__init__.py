"""The program ``zarr-vectors``."""
