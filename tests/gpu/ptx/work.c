/* The queue of work, and what missing functions of the API do. */
#include "work.h"

#include <cuda.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

queue_t queue_pending = {NULL, &queue_pending.first};
static int idle; /* nothing is launched */

void queue_append(queue_t *to, work_t work) {
    work_t *made = malloc(sizeof *made);
    *made = work;
    made->next = NULL;
    made->own = malloc(work.own_bytes);
    if (work.own_bytes) memcpy(made->own, work.own, work.own_bytes);
    *to->last = made;
    to->last = &made->next;
}

size_t parameter_bytes(int size) { return ((size_t)size + PARAMETER - 1) / PARAMETER * PARAMETER; }

static void launch(const work_t *work) {
    unsigned char *parameters[PARAMETERS], *at = work->own;
    for (int i = 0; i < work->kernel->parameters; i++) {
        parameters[i] = at;
        at += parameter_bytes(work->kernel->sizes[i]);
    }
    blocks_run(work->kernel, work->name, parameters, work->grid, work->block);
}

void queue_finish(void) {
    while (queue_pending.first) {
        work_t *work = queue_pending.first;
        if (!(queue_pending.first = work->next)) queue_pending.last = &queue_pending.first;
        if (work->kind == COPY)
            memcpy(work->to, work->from ? work->from : work->own, work->bytes);
        else if (work->kind == FILL)
            memset(work->to, work->value, work->bytes);
        else if (work->kind == MARK)
            *(int *)work->to = 1;
        else if (!idle)
            launch(work);
        free(work->own);
        free(work);
    }
}

static CUresult missing(const char *name) {
    fprintf(stderr, "gpu: %s is missing: add it to tests/gpu/ptx/driver.c\n", name);
    return CUDA_ERROR_NOT_SUPPORTED;
}

/* Generates x86-64 code that calls missing() with the function's name. */
void *missing_function(const char *name) {
    static unsigned char *code;
    static size_t size;
    const size_t capacity = 1 << 16;
    if (!code)
        code = mmap(NULL, capacity, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS,
                    -1, 0);
    if (code == MAP_FAILED || size == capacity) return NULL;
    unsigned char *made = code + size;
    char *kept = strdup(name);
    CUresult (*called)(const char *) = missing;
    memcpy(made, "\x48\xBF", 2), memcpy(made + 2, &kept, 8);         /* mov rdi, name */
    memcpy(made + 10, "\x48\xB8", 2), memcpy(made + 12, &called, 8); /* mov rax, missing */
    memcpy(made + 20, "\xFF\xE0", 2);                                /* jmp rax */
    size += 32;
    return made;
}

__attribute__((constructor)) static void begin(void) {
    const char *seed = getenv("PTX_ORDER"), *off = getenv("PTX_IDLE");
    idle = off && *off;
    if (idle) /* memory that no kernel writes must not look like the end of an episode */
        memory_poison = 0;
    blocks_seed(seed ? strtoull(seed, NULL, 10) : 0);
}
