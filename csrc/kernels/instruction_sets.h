/* One source, several instruction sets: macros for the loops in csrc/kernels and csrc/network.
 *
 *   FASTPG_CLONES    compiles a function once per instruction set; the loader picks one
 *   FASTPG_INLINE    a helper that is inlined into each of those copies
 *   FASTPG_RESTRICT  C's restrict, as each compiler spells it
 *
 * The loops are plain C without Python and without allocation. Arrays are C-contiguous. Letters are
 * those of fastpg/kernels/spec.py, meanings those of fastpg/kernels/reference.py. Where that table
 * asks for equal bits, every sum has the order that csrc/README.md states, and the file is compiled
 * with -ffp-contract=off. */
#ifndef FASTPG_INSTRUCTION_SETS_H
#define FASTPG_INSTRUCTION_SETS_H

#include <math.h>
#include <stdint.h>
#include <string.h>

/* Copies need ifunc, hence glibc. CFLAGS=-DFASTPG_CLONES= builds a single copy, as other systems
 * do. */
#if !defined(FASTPG_CLONES) && defined(__x86_64__) && defined(__linux__) && defined(__GLIBC__) \
    && defined(__has_attribute)
#if __has_attribute(target_clones) && (!defined(__clang__) || __clang_major__ >= 14)
#define FASTPG_CLONES __attribute__((target_clones("avx512f", "avx2", "default")))
#define FASTPG_HAS_CLONES
#endif
#endif
#ifndef FASTPG_CLONES
#define FASTPG_CLONES
#endif

/* A helper that is not inlined would run with the default instruction set. */
#if defined(__GNUC__)
#define FASTPG_INLINE static inline __attribute__((always_inline))
#define FASTPG_RESTRICT __restrict__
#elif defined(_MSC_VER)
#define FASTPG_INLINE static __forceinline
#define FASTPG_RESTRICT __restrict
#else
#define FASTPG_INLINE static inline
#define FASTPG_RESTRICT restrict
#endif

#define FASTPG_LANES 8 /* partial sums: spec.SUM_LANES */

/* Actions whose exponential or logarithm is computed once and kept: Atari's most. For more actions
 * it is computed twice. */
#define FASTPG_CACHED_ACTIONS 18

/* The name of the copy that this machine runs. */
static inline const char *fastpg_vectors(void) {
#ifdef FASTPG_HAS_CLONES
    if (__builtin_cpu_supports("avx512f")) return "AVX-512";
    if (__builtin_cpu_supports("avx2")) return "AVX2";
#endif
    return "plain";
}

#endif
