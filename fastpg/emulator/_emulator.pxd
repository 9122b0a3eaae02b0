"""What other extension modules use of fastpg.emulator._emulator."""

from fastpg.emulator.c_emulator cimport a2600_t, a26_cartridge_t, a26_env_t, a26_seed_t

cdef a26_seed_t seed_of(object words) except *


cdef class Cartridge:
    cdef a26_cartridge_t c
    cdef a26_env_t powered
    cdef a2600_t _fresh
    cdef bytes _rom
    cdef readonly object error
