/* Runs the blocks of a launch. A block's threads are coroutines with a stack each: one runs until
 * it waits at a barrier, then the next. A kernel without barriers is simply called, once per
 * thread. */
#define _GNU_SOURCE
#include "blocks.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

enum { STACK_BYTES = 256 * 1024 };
enum { RUNS, WAITS, ENDED };

typedef struct {
    gpu_thread_t thread;
    jmp_buf at;
    int state, lives;
    uint32_t barrier, is, count;
} coroutine_t;

static coroutine_t coroutines[BLOCK_THREADS], *current;
static const gpu_kernel_t *running;
static unsigned char **given;
static jmp_buf scheduler;
static char *stacks;
static uint64_t random_state = 0x9E3779B97F4A7C15u;
running_block_t running_block;

void blocks_seed(uint64_t seed) { random_state += 0xD1342543DE82EF95u * seed; }

static uint32_t random_below(uint32_t n) {
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((random_state >> 33) % n);
}

void gpu_stop(gpu_thread_t *thread, const char *what, const char *unit, int line) {
    fprintf(stderr, "gpu: %s: block %u thread %u: %s (line %d of %s)\n", running_block.kernel,
            running_block.block, thread->number, what, line, unit);
    abort();
}

/* ---- threads of kernels with barriers ---- */

/* Body of a coroutine: runs one thread after the other, over all launches. */
static void live(void) {
    for (;;) {
        running->run(&current->thread, given);
        current->state = ENDED;
        if (!_setjmp(current->at)) _longjmp(scheduler, 1);
    }
}

static void make_stacks(void) {
    const size_t bytes = (size_t)BLOCK_THREADS * STACK_BYTES;
    stacks = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                  -1, 0);
    if (stacks == MAP_FAILED) abort();
    for (int i = 0; i < BLOCK_THREADS; i++) /* a guard page below each stack */
        mprotect(stacks + (size_t)i * STACK_BYTES, 4096, PROT_NONE);
}

/* Run a thread until it waits or returns. */
static void resume(uint32_t number) {
    current = coroutines + number;
    if (_setjmp(scheduler)) return;
    if (current->lives) _longjmp(current->at, 1);
    current->lives = 1;
    ucontext_t context;
    getcontext(&context);
    context.uc_stack.ss_sp = stacks + (size_t)number * STACK_BYTES;
    context.uc_stack.ss_size = STACK_BYTES;
    context.uc_link = NULL;
    makecontext(&context, live, 0);
    setcontext(&context);
}

uint32_t gpu_barrier(gpu_thread_t *thread, uint32_t barrier, uint32_t is) {
    coroutine_t *own = coroutines + thread->number;
    if (!running->waits)
        gpu_stop(thread, "waits in a function of another PTX text than its kernel's", "its kernel",
                 0);
    own->state = WAITS, own->barrier = barrier, own->is = is;
    if (!_setjmp(own->at)) _longjmp(scheduler, 1);
    return own->count;
}

/* Called when every thread waits or has returned: lets all threads continue if they wait at the
 * same barrier. Returns 0 if all have returned. */
static int pass_barrier(uint32_t threads) {
    uint32_t waiting = 0, count = 0;
    for (uint32_t i = 0; i < threads; i++) {
        waiting += coroutines[i].state == WAITS;
        count += coroutines[i].state == WAITS && coroutines[i].is;
    }
    if (!waiting) return 0;
    for (uint32_t i = 0; i < threads; i++) {
        if (coroutines[i].state != WAITS || coroutines[i].barrier != coroutines[0].barrier)
            gpu_stop(&coroutines[i].thread, "is not at the barrier at which others wait",
                     "its block", 0);
        coroutines[i].state = RUNS, coroutines[i].count = count;
    }
    running_block.phase++;
    return 1;
}

/* ---- blocks ---- */

/* 0 to count - 1 in random order. */
static void shuffle(uint32_t *order, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t other = random_below(i + 1);
        order[i] = order[other], order[other] = i;
    }
}

static void run_block(uint32_t threads) {
    uint32_t order[BLOCK_THREADS];
    for (uint32_t i = 0; i < threads; i++) coroutines[i].state = RUNS;
    running_block.began = ++running_block.phase;
    do {
        shuffle(order, threads);
        for (uint32_t i = 0; i < threads; i++) {
            if (running->waits)
                resume(order[i]);
            else
                running->run(&coroutines[order[i]].thread, given);
        }
    } while (running->waits && pass_barrier(threads));
}

void blocks_run(const gpu_kernel_t *kernel, const char *name, unsigned char **parameters,
                const uint32_t grid[3], const uint32_t block[3]) {
    static _Alignas(64) unsigned char shared[BLOCK_SHARED];
    const uint32_t blocks = grid[0] * grid[1] * grid[2], threads = block[0] * block[1] * block[2];
    uint32_t *order = malloc(blocks * sizeof *order);
    if (!stacks) make_stacks();
    if (!order) abort();
    shuffle(order, blocks);
    running = kernel, given = parameters;
    running_block.kernel = name, running_block.shared = shared, running_block.launch++;
    running_block.stacks[0] = stacks,
    running_block.stacks[1] = stacks + (size_t)BLOCK_THREADS * STACK_BYTES;
    for (uint32_t i = 0; i < blocks; i++) {
        const uint32_t number = running_block.block = order[i];
        memset(shared, 0xA5, (size_t)kernel->shared);
        for (uint32_t k = 0; k < threads; k++) {
            gpu_thread_t *thread = &coroutines[k].thread;
            *thread = (gpu_thread_t){
                {k % block[0], k / block[0] % block[1], k / block[0] / block[1]},
                {block[0], block[1], block[2]},
                {number % grid[0], number / grid[0] % grid[1], number / grid[0] / grid[1]},
                {grid[0], grid[1], grid[2]},
                k,
                shared};
        }
        run_block(threads);
        counts_block(threads);
    }
    counts_launch(blocks, threads);
    free(order);
}
