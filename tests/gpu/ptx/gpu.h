/* Interface between translated kernels (ptx_to_c.py, ptx.h) and what runs them (blocks.c). */
#ifndef GPU_H
#define GPU_H

#include <stdint.h>

/* A thread, as kernels see it. */
typedef struct {
    uint32_t tid[3], ntid[3], ctaid[3], nctaid[3];
    uint32_t number;       /* in its block */
    unsigned char *shared; /* the block's shared memory */
} gpu_thread_t;

typedef struct {
    void (*run)(gpu_thread_t *thread, unsigned char **parameters);
    int parameters;
    const int *sizes; /* of the parameters, in bytes */
    int shared;       /* bytes of shared memory */
    int waits;        /* whether it has barriers */
} gpu_kernel_t;

/* Wait for all threads of the block; returns the number of threads whose `is` was not 0. */
uint32_t gpu_barrier(gpu_thread_t *thread, uint32_t barrier, uint32_t is);
/* Check a memory access before it is made; how: 0 read, 1 write, 2 atomic. */
void gpu_check(gpu_thread_t *thread, uint64_t address, uint32_t bytes, int how, const char *unit,
               int line);
/* Count an instruction, and its memory accesses (counts.c). `unit` numbers PTX texts; 0 before a
 * text's first one. */
void gpu_count(gpu_thread_t *thread, uint32_t *unit, int line, uint32_t cost);
void gpu_access(gpu_thread_t *thread, uint64_t address, uint32_t bytes, int how);
/* End the process with a message: the kernel has a bug. */
void gpu_stop(gpu_thread_t *thread, const char *what, const char *unit, int line);

#endif
