/* Memory of the GPU. Its addresses are a range of their own, so a host's pointer is never one of
 * them. Guard pages lie between allocations; with GPU_CHECK, gpu_check checks every access. */
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
int memory_poison = 0xA5;
static uint32_t changes; /* number of allocations and frees */

size_t memory_used(void) { return used; }

void *memory_allocate(size_t bytes, int pinned) {
    const size_t room = (bytes + ALIGN - 1) / ALIGN * ALIGN,
                 length = (room + PAGE - 1) / PAGE * PAGE;
    allocation_t *made = malloc(sizeof *made);
    if (!range)
        range = unused =
            mmap(NULL, RANGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (!made || range == MAP_FAILED) abort();
    *made = (allocation_t){allocations, unused, unused + length - room, length, bytes, pinned};
    unused += length + PAGE;
    if (mprotect(made->pages, length, PROT_READ | PROT_WRITE)) abort();
    memset(made->pages, memory_poison, length);
    used += pinned ? 0 : bytes, changes++;
    allocations = made;
    return made->start;
}

static int is_poison(const char *from, const char *to) {
    for (; from < to; from++)
        if (*from != (char)memory_poison) return 0;
    return 1;
}

int memory_free(void *start) {
    allocation_t **at = &allocations, *own;
    while (*at && (*at)->start != start) at = &(*at)->next;
    if (!(own = *at)) return 0;
    if (!is_poison(own->pages, own->start)
        || !is_poison(own->start + own->bytes, own->pages + own->length)) {
        fprintf(stderr, "gpu: something was written around the %zu bytes at %p\n", own->bytes,
                start);
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

char *memory_find(uint64_t address, int pinned, size_t *bytes) {
    allocation_t *own = allocation_at(address, pinned);
    if (own) *bytes = own->bytes;
    return own ? own->start : NULL;
}

/* ---- checks of accesses ---- */

enum { SEEN_BITS = 22, OWN_BYTES = 1 << 20 };

/* Accesses of a kind to a byte: the last one's block, phase and thread; whether several threads
 * made some in its phase, and whether several blocks made some. */
typedef struct {
    uint32_t block, phase, thread;
    uint8_t any, threads, blocks;
} accesses_t;

/* Accesses to a byte in the current launch; for shared memory, in the current block. The table is a
 * hash table without chains: bytes of the same entry overwrite each other, so races may be missed,
 * but none is invented. */
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
    if (when != changes) memset(recent, 0, sizeof recent), when = changes;
    for (int i = 0; i < 8; i++)
        if (within(recent[i], address, bytes)) return 1;
    return within(recent[next++ % 8] = allocation_at(address, 0), address, bytes);
}

/* Whether other threads made accesses that no barrier orders before one of this thread now. */
static int at_once(const accesses_t *last, uint32_t thread) {
    if (!last->any || last->blocks || last->block != running_block.block) return last->any;
    return last->phase == running_block.phase && (last->threads || last->thread != thread);
}

static void add(accesses_t *last, uint32_t thread) {
    const int same_block = last->any && last->block == running_block.block;
    const int same_phase = same_block && last->phase == running_block.phase;
    last->blocks |= last->any && !same_block;
    last->threads = same_phase && (last->threads || last->thread != thread);
    last->block = running_block.block, last->phase = running_block.phase, last->thread = thread,
    last->any = 1;
}

static void look(gpu_thread_t *thread, uint64_t address, int how, uint32_t since, const char *unit,
                 int line) {
    static const char *const does[] = {"reads", "writes", "changes"};
    static seen_t *table;
    if (!table)
        table = mmap(NULL, sizeof *table << SEEN_BITS, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (table == MAP_FAILED) abort();
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

int memory_is_private(uint64_t address) {
    const char *at = (const char *)address;
    /* on the coroutine's stack or, in kernels without barriers, on that of the process */
    const uint64_t above = address - (uint64_t)__builtin_frame_address(0);
    return (at >= running_block.stacks[0] && at < running_block.stacks[1]) || above < OWN_BYTES;
}

void gpu_check(gpu_thread_t *thread, uint64_t address, uint32_t bytes, int how, const char *unit,
               int line) {
    const char *at = (const char *)address;
    Dl_info module;
    if (memory_is_private(address)) return;
    if (address % bytes)
        gpu_stop(thread, "accesses an address that is no multiple of the size", unit, line);
    const int shared = at >= (const char *)running_block.shared
                       && at < (const char *)running_block.shared + BLOCK_SHARED;
    if (!shared && !allocated(address, bytes)) {
        if (how || !dladdr(at, &module)) /* constants of the module may be read */
            gpu_stop(thread, "accesses memory that is not allocated", unit, line);
        return;
    }
    for (uint32_t i = 0; i < bytes; i++)
        look(thread, address + i, how, shared ? running_block.began : running_block.launch, unit,
             line);
}
