/* Integer types and function attributes: the only compiler-dependent lines of the emulator. The
 * same sources compile with gcc, clang, nvcc and NVRTC, which has no <stdint.h>.
 *
 *   A26_FN      a function that is inlined
 *   A26_SLOW    one that is not: rare, or too large
 *   A26_TABLE   a constant array
 *   A26_CLONES  compiled once per instruction set; the loader picks one
 *   A26_COPY, A26_COPY_WORD, A26_ASSIGN  copies that a GPU's compiler makes well too */
#ifndef A26_PORTABILITY_H
#define A26_PORTABILITY_H

#if defined(__CUDACC_RTC__)
typedef signed char int8_t;
typedef unsigned char uint8_t;
typedef short int16_t;
typedef unsigned short uint16_t;
typedef int int32_t;
typedef unsigned int uint32_t;
typedef long long int64_t;
typedef unsigned long long uint64_t;
#else
#include <stdint.h>
#endif

#if defined(__CUDACC__) || defined(__CUDACC_RTC__)
#define A26_FN static __device__ __forceinline__
#define A26_SLOW static __device__ __noinline__
#define A26_TABLE static __device__ const
#define A26_LIKELY(x) (x)
#define A26_UNLIKELY(x) (x)
#elif defined(__GNUC__) || defined(__clang__)
#ifndef A26_FN /* sanitized builds define it without inlining, which would take minutes */
#define A26_FN static inline __attribute__((unused, always_inline))
#endif
#define A26_SLOW static __attribute__((unused, noinline))
#define A26_TABLE static const
#define A26_LIKELY(x) __builtin_expect(!!(x), 1)
#define A26_UNLIKELY(x) __builtin_expect(!!(x), 0)
#else
#define A26_FN static inline
#define A26_SLOW static
#define A26_TABLE static const
#define A26_LIKELY(x) (x)
#define A26_UNLIKELY(x) (x)
#endif

#if !defined(A26_NO_LABEL_VALUES) && !defined(__cplusplus) && !defined(__CUDACC_RTC__) \
    && defined(__GNUC__)
#define A26_LABEL_VALUES /* goto *label: GNU C */
#endif

/* Vector instructions, chosen at run time: intrinsics, and copies of functions per instruction set
 * (these need ifunc, hence glibc). Without them the results are equal. */
#if !defined(A26_NO_VECTORS) && !defined(__CUDACC__) && !defined(__CUDACC_RTC__) \
    && defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>
#define A26_X86_VECTORS
#if defined(__linux__) && defined(__GLIBC__) && defined(__has_attribute)
/* clang has target_clones, but not together with `unused`. */
#if __has_attribute(target_clones) && !defined(__clang__)
#define A26_CLONES __attribute__((target_clones("avx2", "default")))
#endif
#endif
#endif
#ifndef A26_CLONES
#define A26_CLONES
#endif

/* Copies of a known, small size. */
#if defined(__GNUC__) || defined(__clang__)
#define A26_COPY(to, from, bytes) __builtin_memcpy((to), (from), (bytes))
#else
#define A26_COPY(to, from, bytes) \
    for (int a26_copied_ = 0; a26_copied_ < (int)(bytes); a26_copied_++) \
    ((uint8_t *)(to))[a26_copied_] = ((const uint8_t *)(from))[a26_copied_]
#endif

/* Copy eight bytes between addresses that are multiples of eight. Without that knowledge a GPU
 * copies byte by byte. */
#if defined(__CUDACC__) || defined(__CUDACC_RTC__)
#define A26_COPY_WORD(to, from) \
    (*(uint64_t *)(void *)(to) = *(const uint64_t *)(const void *)(from))
#else
#define A26_COPY_WORD(to, from) A26_COPY((to), (from), 8)
#endif

/* Assign a large struct of whole words. A GPU's compiler would hold all of it in registers and
 * spill them, which leaves fewer threads to whoever calls the function. */
#if defined(__CUDACC__) || defined(__CUDACC_RTC__)
A26_SLOW void a26_copy_words(void *__restrict__ to, const void *__restrict__ from, uint32_t words) {
#pragma unroll 8
    for (uint32_t k = 0; k < words; k++) ((uint64_t *)to)[k] = ((const uint64_t *)from)[k];
}
#define A26_ASSIGN(to, from) a26_copy_words(&(to), &(from), sizeof(to) / 8)
#else
#define A26_ASSIGN(to, from) ((to) = (from))
#endif

/* The number of the lowest bit of a set that is not empty. */
A26_FN uint32_t a26_lowest_bit(uint64_t set) {
#if defined(__CUDACC__) || defined(__CUDACC_RTC__)
    return (uint32_t)__ffsll((long long)set) - 1;
#elif defined(__GNUC__) || defined(__clang__)
    return (uint32_t)__builtin_ctzll(set);
#else
    uint32_t p = 0;
    while (!(set >> p & 1)) p++;
    return p;
#endif
}

#endif
