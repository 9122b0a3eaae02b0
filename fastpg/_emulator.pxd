"""What other extension modules use of fastpg._emulator."""

from fastpg._core cimport a2600_t, a26_cartridge_t, a26_env_t


cdef class Cartridge:
    cdef a26_cartridge_t c
    cdef a26_env_t powered
    cdef a2600_t _fresh
    cdef bytes _rom
    cdef readonly object error
