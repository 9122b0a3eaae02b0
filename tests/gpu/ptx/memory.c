/* Memory of the GPU: addresses of one range that nothing else has, so that a host's pointer is none of them. Pages
 * that may not be accessed lie between allocations; with GPU_CHECK, gpu_check looks at each access. */
#define _GNU_SOURCE
#include "blocks.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { PAGE = 4096, ALIGN = 256 };
static const size_t RANGE = (size_t)1 << 40;

typedef struct allocation {
    struct allocation *next;
    char *pages, *start;
    size_t length, bytes;
    int pinned;
} allocation_t;

static allocation_t *allocations;
static char *range, *unused;
static size_t used;
int memory_unset = 0xA5;
static uint32_t changes; /* of what is allocated */

size_t memory_used(void) { return used; }

void *memory_take(size_t bytes, int pinned) {
    const size_t room = (bytes + ALIGN - 1) / ALIGN * ALIGN, length = (room + PAGE - 1) / PAGE * PAGE;
    allocation_t *made = malloc(sizeof *made);
    if (!range)
        range = unused = mmap(NULL, RANGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (!made || range == MAP_FAILED)
        abort();
    *made = (allocation_t){allocations, unused, unused + length - room, length, bytes, pinned};
    unused += length + PAGE;
    if (mprotect(made->pages, length, PROT_READ | PROT_WRITE))
        abort();
    memset(made->pages, memory_unset, length);
    used += pinned ? 0 : bytes, changes++;
    allocations = made;
    return made->start;
}

static int spoilt(const char *from, const char *to) {
    for (; from < to; from++)
        if (*from != (char)memory_unset)
            return 0;
    return 1;
}

int memory_give(void *start) {
    allocation_t **at = &allocations, *own;
    while (*at && (*at)->start != start)
        at = &(*at)->next;
    if (!(own = *at))
        return 0;
    if (!spoilt(own->pages, own->start) || !spoilt(own->start + own->bytes, own->pages + own->length)) {
        fprintf(stderr, "gpu: something was written around the %zu bytes at %p\n", own->bytes, start);
        abort();
    }
    madvise(own->pages, own->length, MADV_DONTNEED);
    mprotect(own->pages, own->length, PROT_NONE);
    used -= own->pinned ? 0 : own->bytes, changes++;
    *at = own->next;
    free(own);
    return 1;
}

static allocation_t *allocation_at(uint64_t address, int pinned) {
    allocation_t *own = allocations;
    while (own && (own->pinned != pinned || address - (uint64_t)own->start >= own->bytes))
        own = own->next;
    return own;
}

char *memory_at(uint64_t address, int pinned, size_t *bytes) {
    allocation_t *own = allocation_at(address, pinned);
    if (own)
        *bytes = own->bytes;
    return own ? own->start : NULL;
}

/* ---- checks of accesses ------------------------------------------------------------------------------------------ */

enum { SEEN_BITS = 22, OWN_BYTES = 1 << 20 };

/* Accesses of a kind: the last one's block, wait and thread; whether other threads made some since the last barrier,
 * and whether other blocks made some. */
typedef struct {
    uint32_t block, phase, thread;
    uint8_t any, threads, blocks;
} accesses_t;

/* Of a byte, in a launch; of a block's own memory, in the block. Two bytes of one place in the table forget each
 * other. */
typedef struct {
    uint64_t address;
    uint32_t since;
    accesses_t kinds[3]; /* as `how` of gpu_check */
} seen_t;

static int within(const allocation_t *own, uint64_t address, uint32_t bytes) {
    return own && bytes <= own->bytes && address - (uint64_t)own->start <= own->bytes - bytes;
}

static int allocated(uint64_t address, uint32_t bytes) {
    static allocation_t *recent[8];
    static uint32_t when, next;
    if (when != changes)
        memset(recent, 0, sizeof recent), when = changes;
    for (int i = 0; i < 8; i++)
        if (within(recent[i], address, bytes))
            return 1;
    return within(recent[next++ % 8] = allocation_at(address, 0), address, bytes);
}

/* Whether some were by others, with nothing that keeps them apart from one of this thread's now. */
static int at_once(const accesses_t *last, uint32_t thread) {
    if (!last->any || last->blocks || last->block != blocks_now.block)
        return last->any;
    return last->phase == blocks_now.phase && (last->threads || last->thread != thread);
}

static void add(accesses_t *last, uint32_t thread) {
    const int same_block = last->any && last->block == blocks_now.block;
    const int same_phase = same_block && last->phase == blocks_now.phase;
    last->blocks |= last->any && !same_block;
    last->threads = same_phase && (last->threads || last->thread != thread);
    last->block = blocks_now.block, last->phase = blocks_now.phase, last->thread = thread, last->any = 1;
}

static void look(gpu_thread_t *thread, uint64_t address, int how, uint32_t since, const char *unit, int line) {
    static const char *const does[] = {"reads", "writes", "changes"};
    static seen_t *table;
    if (!table)
        table = mmap(NULL, sizeof *table << SEEN_BITS, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (table == MAP_FAILED)
        abort();
    seen_t *seen = table + (address * 0x9E3779B97F4A7C15u >> (64 - SEEN_BITS));
    if (seen->address != address || seen->since != since)
        *seen = (seen_t){.address = address, .since = since};
    for (int kind = 0; kind < 3; kind++)
        if ((how == 1 || kind == 1 || kind != how) && at_once(&seen->kinds[kind], thread->number)) {
            char what[64];
            snprintf(what, sizeof what, "%s what another thread %s", does[how], does[kind]);
            gpu_stop(thread, what, unit, line);
        }
    add(&seen->kinds[how], thread->number);
}

int memory_owned(uint64_t address) {
    const char *at = (const char *)address;
    /* on its stack or, without barriers, on that of the process */
    const uint64_t above = address - (uint64_t)__builtin_frame_address(0);
    return (at >= blocks_now.stacks[0] && at < blocks_now.stacks[1]) || above < OWN_BYTES;
}

void gpu_check(gpu_thread_t *thread, uint64_t address, uint32_t bytes, int how, const char *unit, int line) {
    const char *at = (const char *)address;
    Dl_info module;
    if (memory_owned(address))
        return;
    if (address % bytes)
        gpu_stop(thread, "accesses an address that is no multiple of the size", unit, line);
    const int shared = at >= (const char *)blocks_now.shared && at < (const char *)blocks_now.shared + BLOCK_SHARED;
    if (!shared && !allocated(address, bytes)) {
        if (how || !dladdr(at, &module)) /* constants of its module may be read */
            gpu_stop(thread, "accesses memory that is not allocated", unit, line);
        return;
    }
    for (uint32_t i = 0; i < bytes; i++)
        look(thread, address + i, how, shared ? blocks_now.began : blocks_now.launch, unit, line);
}
