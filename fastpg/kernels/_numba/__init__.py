"""Helpers of the numba backend."""
