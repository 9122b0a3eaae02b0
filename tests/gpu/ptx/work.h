/* Work that the host has queued for the GPU. It is done when somebody waits for it (work.c). */
#ifndef WORK_H
#define WORK_H

#include "blocks.h"

/* PARAMETER: bytes that a parameter's value takes at least; PARAMETERS: of a kernel, at most. */
enum { PARAMETER = 16, PARAMETERS = 1024 };

typedef struct work {
    struct work *next;
    enum { COPY, FILL, LAUNCH, MARK } kind;
    void *to;
    const void *from; /* NULL: from `own` */
    size_t bytes;
    int value;
    const gpu_kernel_t *kernel;
    const char *name;
    uint32_t grid[3], block[3];
    unsigned char *own; /* bytes to copy, or the parameters' values; queue_append copies them */
    size_t own_bytes;
} work_t;

typedef struct {
    work_t *first, **last;
} queue_t;

extern queue_t queue_pending; /* of all streams */
/* Append work to the queue of all streams, or to that of a graph. */
void queue_append(queue_t *to, work_t work);
/* Do all work of the queue of all streams. */
void queue_finish(void);
/* Bytes of a parameter's value, rounded up. */
size_t parameter_bytes(int size);

/* A function for a missing one of the API: it prints the name and fails. NULL: there are too many.
 */
void *missing_function(const char *name);

#endif
