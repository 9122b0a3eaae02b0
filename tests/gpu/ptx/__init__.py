"""A stand-in for a GPU: runs the compiled code of CUDA kernels on the CPU. See ../README.md."""
