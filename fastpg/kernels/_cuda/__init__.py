"""Helpers of the cuda backend."""
