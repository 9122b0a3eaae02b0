/* Counts what launches take: instructions of warps, and memory accesses. Writes a line of JSON per
 * launch to the file that PTX_COUNTS names.
 *
 * Threads run one after the other, so warps are reconstructed: a warp executes an instruction as
 * often as the thread of it that executes it most often, and the n-th executions by its threads
 * count as one. That is how a GPU behaves whose threads reconverge as early as possible. */
#include "blocks.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { UNITS = 1 << 12, LINES = 1 << 17, WARP = 32, SECTOR = 32 };

/* A hash set of nonzero numbers. */
typedef struct {
    uint64_t *slots;
    size_t room, size;
} set_t;

typedef struct {                      /* a PTX text */
    uint32_t (*times)[BLOCK_THREADS]; /* executions of a line by each thread of the block */
    uint32_t cost[LINES];             /* 1 + a line's cost if the block has executed it, else 0 */
} unit_t;

typedef struct {
    uint64_t place, occurrence;
} instruction_t;

static unit_t *units;
static uint32_t last_unit; /* counted from 1 */
static instruction_t now[BLOCK_THREADS];
static struct {
    uint32_t unit, line;
} ran[LINES];
static uint32_t lines_ran;
static set_t requests, transactions, sectors[2]; /* of the block; of the launch: read, written */
static struct {
    uint64_t threads, warps, requests, transactions, shared, atomics;
} sums;

static uint64_t mixed(uint64_t a, uint64_t b) {
    a = (a ^ b * 0x9E3779B97F4A7C15u) * 0xD6E8FEB86659FD93u;
    a = (a ^ a >> 32) * 0xD6E8FEB86659FD93u;
    return (a ^ a >> 29) | 1;
}

/* Add a key; returns 1 if it was new. */
static int add(set_t *set, uint64_t key) {
    if (2 * set->size >= set->room) {
        set_t old = *set;
        *set =
            (set_t){calloc(old.room ? 4 * old.room : 4096, 8), old.room ? 4 * old.room : 4096, 0};
        if (!set->slots) abort();
        for (size_t i = 0; i < old.room; i++)
            if (old.slots[i]) add(set, old.slots[i]);
        free(old.slots);
    }
    size_t at = mixed(key, 0) >> 7 & (set->room - 1);
    while (set->slots[at] && set->slots[at] != key) at = (at + 1) & (set->room - 1);
    if (set->slots[at]) return 0;
    set->slots[at] = key, set->size++;
    return 1;
}

static void clear(set_t *set) {
    if (set->size) memset(set->slots, 0, 8 * set->room);
    set->size = 0;
}

static void *zeros(size_t bytes) {
    void *made = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (made == MAP_FAILED) abort();
    return made;
}

void gpu_count(gpu_thread_t *thread, uint32_t *unit, int line, uint32_t cost) {
    if (!units) units = zeros(UNITS * sizeof *units);
    if (!*unit) {
        *unit = ++last_unit;
        if (*unit < UNITS) units[*unit].times = zeros((size_t)LINES * sizeof *units->times);
    }
    if (*unit >= UNITS || line >= LINES)
        gpu_stop(thread, "has more code than can be counted", "its kernel", line);
    unit_t *own = units + *unit;
    if (!own->cost[line]) {
        if (lines_ran == LINES)
            gpu_stop(thread, "has more code than can be counted", "its kernel", line);
        own->cost[line] = cost + 1;
        ran[lines_ran].unit = *unit, ran[lines_ran].line = (uint32_t)line, lines_ran++;
    }
    now[thread->number] =
        (instruction_t){(uint64_t)*unit << 32 | (uint32_t)line, ++own->times[line][thread->number]};
}

void gpu_access(gpu_thread_t *thread, uint64_t address, uint32_t bytes, int how) {
    const char *at = (const char *)address;
    const instruction_t own = now[thread->number];
    const uint64_t request = mixed(mixed(own.place, own.occurrence), thread->number / WARP);
    if (memory_is_private(address)) return;
    if (at >= (const char *)running_block.shared
        && at < (const char *)running_block.shared + BLOCK_SHARED) {
        sums.shared += (uint64_t)add(&requests, request);
        return;
    }
    sums.requests += (uint64_t)add(&requests, request), sums.atomics += how == 2;
    for (uint64_t sector = address / SECTOR; sector <= (address + bytes - 1) / SECTOR; sector++) {
        sums.transactions += (uint64_t)add(&transactions, mixed(request, sector));
        if (how != 1) add(&sectors[0], sector);
        if (how) add(&sectors[1], sector);
    }
}

void counts_block(uint32_t threads) {
    for (uint32_t i = 0; i < lines_ran; i++) {
        unit_t *own = units + ran[i].unit;
        uint32_t *times = own->times[ran[i].line];
        const uint64_t cost = own->cost[ran[i].line] - 1;
        for (uint32_t first = 0; first < threads; first += WARP) {
            uint32_t most = 0;
            for (uint32_t k = first; k < first + WARP && k < threads; k++) {
                sums.threads += cost * times[k];
                most = times[k] > most ? times[k] : most;
            }
            sums.warps += cost * most;
        }
        memset(times, 0, threads * sizeof *times);
        own->cost[ran[i].line] = 0;
    }
    lines_ran = 0;
    clear(&requests), clear(&transactions);
}

void counts_launch(uint32_t blocks, uint32_t threads) {
    static FILE *file;
    const char *path = getenv("PTX_COUNTS");
    if (!path || !*path || (!file && !(file = fopen(path, "a")))) return;
    fprintf(file,
            "{\"kernel\": \"%s\", \"blocks\": %u, \"threads\": %u, \"thread_instructions\": %llu, "
            "\"instructions\": %llu, \"requests\": %llu, \"transactions\": %llu, \"shared\": %llu, "
            "\"atomics\": %llu, \"bytes_read\": %zu, \"bytes_written\": %zu}\n",
            running_block.kernel, blocks, threads, (unsigned long long)sums.threads,
            (unsigned long long)sums.warps, (unsigned long long)sums.requests,
            (unsigned long long)sums.transactions, (unsigned long long)sums.shared,
            (unsigned long long)sums.atomics, SECTOR * sectors[0].size, SECTOR * sectors[1].size);
    fflush(file);
    memset(&sums, 0, sizeof sums);
    clear(&sectors[0]), clear(&sectors[1]);
}
