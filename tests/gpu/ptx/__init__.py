"""Compiled code for a GPU, run on the CPU: what numba-cuda and NVRTC made of kernels.

``python -m tests.gpu.ptx COMMAND...`` runs a command (``python -m pytest
tests/gpu/device_games.py``, ``fastpg train --device cuda``) with one GPU that is made of two
things: a driver (``libcuda.so.1``, from driver.c, blocks.c and memory.c) whose memory is the
process's own, and a linker that makes code for the CPU from the PTX of which a GPU's would be made
(build.py, translate.py, ptx.h). All else is as on a GPU: numba-cuda, its compilers, launches,
streams, CUDA graphs. Threads of a block run one after the other from barrier to barrier, each time
in another order, and so do blocks.

``--check`` looks at each access to memory and ends the process at one outside of what is allocated,
at an address that is no multiple of its size, or at two in a launch that nothing keeps apart.
``--counts=FILE`` writes what each launch takes, a line of JSON: instructions of warps, requests to
memory, the sectors of 32 bytes that those are, bytes touched (counts.c; slow).
benchmarks/gpu_floors.py estimates the least times of an H100 by it.
``--order SEED`` takes another order. ``--idle`` launches nothing, to see what the host takes.

Not seen are: what the GPU's assembler makes of PTX, what instructions lose that approximate (here
they are C's functions), several streams at once, and the GPU's time. Only one thread of the host
may use it. It needs gcc on x86-64 and the ``cuda`` extra; build.py keeps what it compiles, and the
PTX that messages name, in a folder for temporary files.
"""
