"""The part of fastpg.emulator._emulator that other extension modules use."""

from c_emulator cimport a2600_t, a26_cartridge_t, a26_env_t, a26_seed_t

cdef a26_seed_t seed_of(object words) except *


cdef class Cartridge:
    cdef a26_cartridge_t c
    cdef a26_env_t power_on_state
    cdef a2600_t _post_reset_state
    cdef bytes _rom
    cdef readonly object error
