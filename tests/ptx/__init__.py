"""Compiled code for a GPU, run on the CPU: what numba-cuda and NVRTC made of kernels, as on a GPU.

``python -m tests.ptx COMMAND...`` runs a command (``python -m pytest tests/device_games.py``,
``fastpg train --device cuda``) with one GPU, made of two things: a driver (``libcuda.so.1``, from
driver.c, blocks.c and memory.c) whose memory is the process's, and a linker that makes machine code
of the CPU from the PTX that a GPU's would be made of (build.py, translate.py, ptx.h). All else is as
on a GPU: numba-cuda, its compilers, launches, streams, CUDA graphs. Threads of a block run one
after the other from barrier to barrier, in a random order; so do blocks.

With ``--check`` each access to memory is looked at: outside of what is allocated, at an address
that is no multiple of its size, or one of two in a launch that nothing keeps apart, it ends the
process. ``--order SEED`` gives another order.

Not seen: what the GPU's assembler makes of PTX, instructions that only approximate (they are exact
here), several streams at once, and time. It needs gcc on x86-64, and the ``cuda`` extra.
"""
