"""Helper processes with time limits, and pools of them here or on a Dask cluster. No torch."""
