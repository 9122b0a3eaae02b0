/* Between translated kernels (translate.py, ptx.h) and what runs them (blocks.c). */
#ifndef GPU_H
#define GPU_H

#include <stdint.h>

/* A thread, as its kernel sees itself. */
typedef struct {
    uint32_t tid[3], ntid[3], ctaid[3], nctaid[3];
    uint32_t number;       /* in its block */
    unsigned char *shared; /* the block's memory */
} gpu_thread_t;

typedef struct {
    void (*run)(gpu_thread_t *thread, unsigned char **parameters);
    int parameters;
    const int *sizes; /* of the parameters, in bytes */
    int shared;       /* bytes of a block's memory */
    int waits;        /* whether threads wait for each other */
} gpu_kernel_t;

/* Wait for all threads of the block; returns for how many of them `is` was not 0. */
uint32_t gpu_wait(gpu_thread_t *thread, uint32_t barrier, uint32_t is);
/* Look at an access to memory before it is made: 0 reads, 1 writes, 2 does both at once. */
void gpu_check(gpu_thread_t *thread, uint64_t address, uint32_t bytes, int how, const char *unit, int line);
/* Count an instruction that a thread executes, and what it then accesses (counts.c). A unit, 0 at first, is one text of
 * PTX. */
void gpu_ran(gpu_thread_t *thread, uint32_t *unit, int line, uint32_t cost);
void gpu_access(gpu_thread_t *thread, uint64_t address, uint32_t bytes, int how);
/* End the process: the kernel does what it must not do. */
void gpu_stop(gpu_thread_t *thread, const char *what, const char *unit, int line);

#endif
