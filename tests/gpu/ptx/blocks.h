/* Launches, run by the host thread that waits for them (blocks.c), and memory (memory.c). */
#ifndef BLOCKS_H
#define BLOCKS_H

#include "gpu.h"

#include <stddef.h>

enum { BLOCK_THREADS = 1024, BLOCK_SHARED = 48 * 1024 };

/* Run a grid: its blocks, and the threads of each, one after the other in random order. */
void blocks_run(const gpu_kernel_t *kernel, const char *name, unsigned char **parameters,
                const uint32_t grid[3], const uint32_t block[3]);
/* Update the counts of instructions and accesses at the end of a block and of a launch. */
void counts_block(uint32_t threads);
void counts_launch(uint32_t blocks, uint32_t threads);
/* Seed the order of threads and blocks. */
void blocks_seed(uint64_t seed);

/* Allocate memory of the GPU, or pinned memory of the host. */
void *memory_allocate(size_t bytes, int pinned);
/* Free it; returns 0 if it is no allocation. Ends the process if something was written around it.
 */
int memory_free(void *start);
/* Start and size of the allocation with this address; NULL if there is none of that kind. */
char *memory_find(uint64_t address, int pinned, size_t *bytes);
size_t memory_used(void);
/* Whether an address is on a thread's own stack. */
int memory_is_private(uint64_t address);
/* Initial value of every byte; may be changed only before the first allocation. */
extern int memory_poison;

/* The running block, for checks of accesses. A phase is the time between two barriers. */
typedef struct {
    const char *kernel;
    uint32_t launch, block, phase,
        began; /* phases are numbered over all launches; began: the block's first */
    const unsigned char *shared;
    const char *stacks[2]; /* from, to */
} running_block_t;
extern running_block_t running_block;

#endif
