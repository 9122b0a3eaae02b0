"""The cuda backend's kernels, the device functions that blocks run, arrays and compilation."""
