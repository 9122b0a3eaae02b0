/* Launches, run by the thread of the CPU that asks for them (blocks.c), and memory (memory.c). */
#ifndef BLOCKS_H
#define BLOCKS_H

#include "gpu.h"

#include <stddef.h>

enum { BLOCK_THREADS = 1024, BLOCK_SHARED = 48 * 1024 };

/* Run a grid: blocks one after the other from any one on, their threads in any order. */
void blocks_run(const gpu_kernel_t *kernel, const char *name, unsigned char **parameters, const uint32_t grid[3],
                const uint32_t block[3]);
/* Counts of instructions and accesses: a block has ended, a launch has. */
void counts_block(uint32_t threads);
void counts_launch(uint32_t blocks, uint32_t threads);
/* Orders of threads and blocks: other ones for another seed. */
void blocks_seed(uint64_t seed);

/* Memory of the GPU, and of the host where it is pinned. */
void *memory_take(size_t bytes, int pinned);
/* Whether it was such memory; ends the process if something was written around it. */
int memory_give(void *start);
/* Where the allocation begins that has this address, and its bytes; NULL: none of that kind does. */
char *memory_at(uint64_t address, int pinned, size_t *bytes);
size_t memory_used(void);
/* Whether it is of the memory that a thread has alone. */
int memory_owned(uint64_t address);
/* Each byte of memory that nobody has written yet; not to be changed once there is some. */
extern int memory_unset;

/* For checks: of the block and the wait between two barriers in which a thread accesses memory. */
typedef struct {
    const char *kernel;
    uint32_t launch, block, phase, began; /* phase: of all launches; the block's began with that one */
    const unsigned char *shared;
    const char *stacks[2]; /* from, to: a thread's own memory */
} blocks_now_t;
extern blocks_now_t blocks_now;

#endif
