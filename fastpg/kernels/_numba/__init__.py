"""The numba backend's network, formulas of one element, and compilation."""
