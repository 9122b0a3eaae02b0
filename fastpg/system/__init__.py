"""The machine: files that are written whole, processor cores, optional packages."""
