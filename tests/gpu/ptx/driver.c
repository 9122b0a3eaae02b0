/* The functions of CUDA's driver API that numba-cuda and cuda.core call, for one GPU: this process.
 * Work starts only when the host waits for it, so data that is read or changed too early is wrong.
 *
 * A module's image is the path of a shared library of translated kernels.
 * Source: the driver API, in the user's cuda.h. */
#define _GNU_SOURCE
#include "work.h"

#include <cuda.h>
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAME = 96, PROCESSORS = 4 };
static const size_t MEMORY = (size_t)16 << 30;

typedef struct {
    queue_t *captured; /* NULL unless the stream is being captured */
} stream_t;

typedef struct {
    const gpu_kernel_t *kernel;
    char name[NAME];
} function_t;

static queue_t *queue_of(CUstream stream) {
    /* 0, 1 and 2 are default streams */
    stream_t *own = (uint64_t)stream > 2 ? (stream_t *)stream : NULL;
    return own && own->captured ? own->captured : &queue_pending;
}

static int known(uint64_t start, size_t bytes, int pinned) {
    size_t size;
    const char *first = memory_find(start, pinned, &size);
    return !bytes || (first && start - (uint64_t)first + bytes <= size);
}

static CUresult copy(uint64_t to, uint64_t from, size_t bytes, int to_gpu, int from_gpu,
                     CUstream stream) {
    if ((to_gpu && !known(to, bytes, 0)) || (from_gpu && !known(from, bytes, 0)))
        return CUDA_ERROR_INVALID_VALUE;
    work_t work = {.kind = COPY, .to = (void *)to, .from = (const void *)from, .bytes = bytes};
    if (!from_gpu
        && !known(from, bytes, 1)) /* the driver copies memory that is not pinned at once */
        work.own = (unsigned char *)from, work.own_bytes = bytes, work.from = NULL;
    queue_append(queue_of(stream), work);
    if (!to_gpu && !known(to, bytes, 1)) queue_finish();
    return CUDA_SUCCESS;
}

/* ---- the API; the functions are listed at the end ---- */

#define API(name, ...) static CUresult my_##name(__VA_ARGS__)
#define NOTHING(name, ...) \
    static CUresult my_##name(__VA_ARGS__) { return CUDA_SUCCESS; }
#define SETS(name, result, value, ...) \
    static CUresult my_##name(__VA_ARGS__) { \
        *(result) = (value); \
        return CUDA_SUCCESS; \
    }
#pragma GCC diagnostic ignored "-Wunused-parameter"

NOTHING(cuInit, unsigned flags)
SETS(cuDriverGetVersion, version, CUDA_VERSION, int *version)
SETS(cuDeviceGetCount, count, 1, int *count)
API(cuDeviceGet, CUdevice *device, int number) {
    *device = 0;
    return number ? CUDA_ERROR_INVALID_DEVICE : CUDA_SUCCESS;
}
API(cuDeviceGetName, char *name, int size, CUdevice device) {
    snprintf(name, (size_t)size, "a CPU");
    return CUDA_SUCCESS;
}
API(cuDeviceGetUuid, CUuuid *id, CUdevice device) {
    memset(id, 1, sizeof *id);
    return CUDA_SUCCESS;
}
SETS(cuDeviceTotalMem, bytes, MEMORY, size_t *bytes, CUdevice device)
API(cuDeviceGetAttribute, int *value, CUdevice_attribute attribute, CUdevice device) {
    switch (attribute) {
    case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR: *value = 9; break;
    case CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT: *value = PROCESSORS; break;
    case CU_DEVICE_ATTRIBUTE_WARP_SIZE: *value = 32; break;
    case CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK: *value = BLOCK_THREADS; break;
    case CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_MULTIPROCESSOR: *value = 2048; break;
    case CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK: *value = BLOCK_SHARED; break;
    case CU_DEVICE_ATTRIBUTE_UNIFIED_ADDRESSING: *value = 1; break;
    default: *value = 0;
    }
    return CUDA_SUCCESS;
}

static _Thread_local CUcontext contexts[64];
static _Thread_local int depth;
static int primary;
SETS(cuDevicePrimaryCtxRetain, context, (CUcontext)&primary, CUcontext *context, CUdevice device)
NOTHING(cuDevicePrimaryCtxRelease, CUdevice device)
NOTHING(cuDevicePrimaryCtxSetFlags, CUdevice device, unsigned flags)
API(cuDevicePrimaryCtxGetState, CUdevice device, unsigned *flags, int *active) {
    *flags = 0, *active = 1;
    return CUDA_SUCCESS;
}
API(cuCtxPushCurrent, CUcontext context) {
    contexts[depth++] = context;
    return CUDA_SUCCESS;
}
API(cuCtxPopCurrent, CUcontext *context) {
    if (!depth) return CUDA_ERROR_INVALID_CONTEXT;
    *context = contexts[--depth];
    return CUDA_SUCCESS;
}
API(cuCtxSetCurrent, CUcontext context) {
    contexts[depth ? depth - 1 : depth++] = context;
    return CUDA_SUCCESS;
}
SETS(cuCtxGetCurrent, context, depth ? contexts[depth - 1] : NULL, CUcontext *context)
API(cuCtxGetDevice, CUdevice *device) {
    *device = 0;
    return depth ? CUDA_SUCCESS : CUDA_ERROR_INVALID_CONTEXT;
}
API(cuCtxSynchronize, void) {
    queue_finish();
    return CUDA_SUCCESS;
}

API(cuMemGetInfo, size_t *unused, size_t *total) {
    *total = MEMORY, *unused = MEMORY - memory_used();
    return CUDA_SUCCESS;
}
API(cuMemAlloc, CUdeviceptr *start, size_t bytes) {
    if (!bytes) return CUDA_ERROR_INVALID_VALUE;
    if (bytes > MEMORY - memory_used()) return CUDA_ERROR_OUT_OF_MEMORY;
    *start = (CUdeviceptr)memory_allocate(bytes, 0);
    return CUDA_SUCCESS;
}
API(cuMemFree, CUdeviceptr start) {
    queue_finish();
    return memory_free((void *)start) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}
API(cuMemHostAlloc, void **start, size_t bytes, unsigned flags) {
    *start = memory_allocate(bytes, 1);
    return CUDA_SUCCESS;
}
API(cuMemFreeHost, void *start) {
    queue_finish();
    return memory_free(start) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}
API(cuMemGetAddressRange, CUdeviceptr *start, size_t *bytes, CUdeviceptr within) {
    size_t size;
    const char *first = memory_find(within, 0, &size);
    if (!first) return CUDA_ERROR_NOT_FOUND;
    if (start) *start = (CUdeviceptr)first;
    if (bytes) *bytes = size;
    return CUDA_SUCCESS;
}
API(cuPointerGetAttribute, void *value, CUpointer_attribute attribute, CUdeviceptr address) {
    if (!known(address, 1, 0)) return CUDA_ERROR_INVALID_VALUE;
    switch (attribute) {
    case CU_POINTER_ATTRIBUTE_DEVICE_POINTER: *(CUdeviceptr *)value = address; break;
    case CU_POINTER_ATTRIBUTE_CONTEXT: *(CUcontext *)value = (CUcontext)&primary; break;
    case CU_POINTER_ATTRIBUTE_MEMORY_TYPE: *(unsigned *)value = CU_MEMORYTYPE_DEVICE; break;
    case CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL: *(int *)value = 0; break;
    default: return CUDA_ERROR_NOT_SUPPORTED;
    }
    return CUDA_SUCCESS;
}
API(cuMemcpyHtoD, CUdeviceptr to, const void *from, size_t bytes) {
    const CUresult code = copy(to, (uint64_t)from, bytes, 1, 0, NULL);
    queue_finish();
    return code;
}
API(cuMemcpyDtoH, void *to, CUdeviceptr from, size_t bytes) {
    const CUresult code = copy((uint64_t)to, from, bytes, 0, 1, NULL);
    queue_finish();
    return code;
}
API(cuMemcpyDtoD, CUdeviceptr to, CUdeviceptr from, size_t bytes) {
    return copy(to, from, bytes, 1, 1, NULL);
}
API(cuMemcpyHtoDAsync, CUdeviceptr to, const void *from, size_t bytes, CUstream stream) {
    return copy(to, (uint64_t)from, bytes, 1, 0, stream);
}
API(cuMemcpyDtoHAsync, void *to, CUdeviceptr from, size_t bytes, CUstream stream) {
    return copy((uint64_t)to, from, bytes, 0, 1, stream);
}
API(cuMemcpyDtoDAsync, CUdeviceptr to, CUdeviceptr from, size_t bytes, CUstream stream) {
    return copy(to, from, bytes, 1, 1, stream);
}
API(cuMemsetD8Async, CUdeviceptr to, unsigned char value, size_t bytes, CUstream stream) {
    if (!known(to, bytes, 0)) return CUDA_ERROR_INVALID_VALUE;
    queue_append(queue_of(stream),
                 (work_t){.kind = FILL, .to = (void *)to, .value = value, .bytes = bytes});
    return CUDA_SUCCESS;
}
API(cuMemsetD8, CUdeviceptr to, unsigned char value, size_t bytes) {
    return my_cuMemsetD8Async(to, value, bytes, NULL);
}

API(cuStreamCreate, CUstream *stream, unsigned flags) {
    *stream = calloc(1, sizeof(stream_t));
    return CUDA_SUCCESS;
}
API(cuStreamCreateWithPriority, CUstream *stream, unsigned flags, int priority) {
    return my_cuStreamCreate(stream, flags);
}
API(cuStreamDestroy, CUstream stream) {
    free(stream);
    return CUDA_SUCCESS;
}
API(cuStreamSynchronize, CUstream stream) {
    if (queue_of(stream) != &queue_pending) return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
    queue_finish();
    return CUDA_SUCCESS;
}
SETS(cuStreamGetCtx, context, (CUcontext)&primary, CUstream stream, CUcontext *context)
NOTHING(cuStreamWaitEvent, CUstream stream, CUevent event, unsigned flags)
API(cuCtxGetStreamPriorityRange, int *least, int *greatest) {
    *least = 0, *greatest = 0;
    return CUDA_SUCCESS;
}
API(cuEventCreate, CUevent *event, unsigned flags) {
    *event = calloc(1, sizeof(int));
    return CUDA_SUCCESS;
}
API(cuEventDestroy, CUevent event) {
    queue_finish();
    free(event);
    return CUDA_SUCCESS;
}
API(cuEventRecord, CUevent event, CUstream stream) {
    *(int *)event = 0;
    queue_append(queue_of(stream), (work_t){.kind = MARK, .to = event});
    return CUDA_SUCCESS;
}
API(cuEventSynchronize, CUevent event) {
    queue_finish();
    return CUDA_SUCCESS;
}
API(cuEventQuery, CUevent event) { /* the GPU becomes idle sooner or later */
    static int asked;
    if (++asked % 8 == 0) queue_finish();
    return *(int *)event ? CUDA_SUCCESS : CUDA_ERROR_NOT_READY;
}

SETS(cuStreamIsCapturing, status, queue_of(stream) != &queue_pending, CUstream stream,
     CUstreamCaptureStatus *status)
API(cuStreamBeginCapture, CUstream stream, CUstreamCaptureMode mode) {
    if ((uint64_t)stream <= 2) return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
    queue_t *made = calloc(1, sizeof *made);
    made->last = &made->first;
    ((stream_t *)stream)->captured = made;
    return CUDA_SUCCESS;
}
API(cuStreamGetCaptureInfo, CUstream stream, CUstreamCaptureStatus *status, cuuint64_t *id,
    CUgraph *graph, const CUgraphNode **nodes, size_t *count) {
    my_cuStreamIsCapturing(stream, status);
    if (graph) *graph = *status ? (CUgraph)queue_of(stream) : NULL;
    return CUDA_SUCCESS;
}
API(cuStreamEndCapture, CUstream stream, CUgraph *graph) {
    if (queue_of(stream) == &queue_pending) return CUDA_ERROR_ILLEGAL_STATE;
    if (graph) *graph = (CUgraph)queue_of(stream);
    ((stream_t *)stream)->captured = NULL;
    return CUDA_SUCCESS;
}
/* A graph is its captured queue of work. */
API(cuGraphInstantiateWithParams, CUgraphExec *made, CUgraph graph,
    CUDA_GRAPH_INSTANTIATE_PARAMS *parameters) {
    *made = (CUgraphExec)graph, parameters->result_out = CUDA_GRAPH_INSTANTIATE_SUCCESS;
    return CUDA_SUCCESS;
}
API(cuGraphLaunch, CUgraphExec graph, CUstream stream) {
    for (const work_t *work = ((queue_t *)graph)->first; work; work = work->next)
        queue_append(queue_of(stream), *work);
    return CUDA_SUCCESS;
}
NOTHING(cuGraphDestroy, CUgraph graph)
NOTHING(cuGraphExecDestroy, CUgraphExec graph)
SETS(cuUserObjectCreate, made, of, CUuserObject *made, void *of, CUhostFn destroy, unsigned count,
     unsigned flags)
NOTHING(cuUserObjectRelease, CUuserObject object, unsigned count)
NOTHING(cuGraphRetainUserObject, CUgraph graph, CUuserObject object, unsigned count, unsigned flags)
NOTHING(cuGraphReleaseUserObject, CUgraph graph, CUuserObject object, unsigned count)

API(cuLibraryLoadData, CUlibrary *library, const void *image, CUjit_option *options, void **values,
    unsigned count, CUlibraryOption *more, void **their_values, unsigned their_count) {
    *library = dlopen(image, RTLD_NOW | RTLD_LOCAL);
    if (!*library) fprintf(stderr, "gpu: %s\n", dlerror());
    return *library ? CUDA_SUCCESS : CUDA_ERROR_INVALID_IMAGE;
}
NOTHING(cuLibraryUnload, CUlibrary library) /* its constants may still be read */
API(cuLibraryGetKernel, CUkernel *kernel, CUlibrary library, const char *name) {
    function_t *made = calloc(1, sizeof *made);
    char *symbol = NULL;
    if (!made || asprintf(&symbol, "kernel_%s", name) < 0) return CUDA_ERROR_OUT_OF_MEMORY;
    made->kernel = dlsym(library, symbol);
    snprintf(made->name, sizeof made->name, "%s", name);
    free(symbol);
    *kernel = (CUkernel)made;
    return made->kernel ? CUDA_SUCCESS : CUDA_ERROR_NOT_FOUND;
}
SETS(cuKernelGetFunction, function, (CUfunction)kernel, CUfunction *function, CUkernel kernel)
API(cuKernelGetAttribute, int *value, CUfunction_attribute attribute, CUkernel kernel,
    CUdevice device) {
    *value = attribute == CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK ? BLOCK_THREADS : 0;
    return CUDA_SUCCESS;
}
API(cuFuncGetAttribute, int *value, CUfunction_attribute attribute, CUfunction function) {
    return my_cuKernelGetAttribute(value, attribute, (CUkernel)function, 0);
}
API(cuLaunchKernelEx, const CUlaunchConfig *config, CUfunction function, void **given,
    void **extra) {
    const function_t *own = (function_t *)function;
    unsigned char values[PARAMETERS * PARAMETER], *at = values;
    const size_t threads = (size_t)config->blockDimX * config->blockDimY * config->blockDimZ;
    const size_t blocks = (size_t)config->gridDimX * config->gridDimY * config->gridDimZ;
    if (!blocks || !threads || threads > BLOCK_THREADS || config->gridDimY > 65535
        || config->gridDimZ > 65535 || config->sharedMemBytes || own->kernel->shared > BLOCK_SHARED)
        return CUDA_ERROR_INVALID_VALUE;
    for (int i = 0; i < own->kernel->parameters; i++) {
        if (at + own->kernel->sizes[i] + PARAMETER > values + sizeof values)
            return CUDA_ERROR_INVALID_VALUE;
        memcpy(at, given[i], (size_t)own->kernel->sizes[i]);
        at += parameter_bytes(own->kernel->sizes[i]);
    }
    queue_append(queue_of(config->hStream),
                 (work_t){.kind = LAUNCH,
                          .kernel = own->kernel,
                          .name = own->name,
                          .grid = {config->gridDimX, config->gridDimY, config->gridDimZ},
                          .block = {config->blockDimX, config->blockDimY, config->blockDimZ},
                          .own = values,
                          .own_bytes = (size_t)(at - values)});
    return CUDA_SUCCESS;
}
API(cuLaunchKernel, CUfunction function, unsigned gx, unsigned gy, unsigned gz, unsigned bx,
    unsigned by, unsigned bz, unsigned shared, CUstream stream, void **given, void **extra) {
    const CUlaunchConfig config = {gx, gy, gz, bx, by, bz, shared, stream, NULL, 0};
    return my_cuLaunchKernelEx(&config, function, given, extra);
}
static char message[32];
API(cuGetErrorName, CUresult code, const char **text) {
    snprintf(message, sizeof message, "CUDA error %d", code);
    *text = message;
    return CUDA_SUCCESS;
}
API(cuGetErrorString, CUresult code, const char **text) { return my_cuGetErrorName(code, text); }

/* ---- list of functions ---- */

#define ENTRY(name) {#name, my_##name},
static const struct {
    const char *name;
    void *function;
} functions[] = {
    /* clang-format off */
    ENTRY(cuInit) ENTRY(cuDriverGetVersion) ENTRY(cuDeviceGetCount) ENTRY(cuDeviceGet)
    ENTRY(cuDeviceGetName) ENTRY(cuDeviceGetUuid) ENTRY(cuDeviceTotalMem)
    ENTRY(cuDeviceGetAttribute) ENTRY(cuDevicePrimaryCtxRetain) ENTRY(cuDevicePrimaryCtxRelease)
    ENTRY(cuDevicePrimaryCtxSetFlags) ENTRY(cuDevicePrimaryCtxGetState) ENTRY(cuCtxPushCurrent)
    ENTRY(cuCtxPopCurrent) ENTRY(cuCtxSetCurrent) ENTRY(cuCtxGetCurrent) ENTRY(cuCtxGetDevice)
    ENTRY(cuCtxSynchronize) ENTRY(cuMemGetInfo) ENTRY(cuMemAlloc) ENTRY(cuMemFree)
    ENTRY(cuMemHostAlloc) ENTRY(cuMemFreeHost) ENTRY(cuMemGetAddressRange)
    ENTRY(cuPointerGetAttribute) ENTRY(cuMemcpyHtoD) ENTRY(cuMemcpyDtoH) ENTRY(cuMemcpyDtoD)
    ENTRY(cuMemcpyHtoDAsync) ENTRY(cuMemcpyDtoHAsync) ENTRY(cuMemcpyDtoDAsync)
    ENTRY(cuMemsetD8Async) ENTRY(cuMemsetD8) ENTRY(cuStreamCreate) ENTRY(cuStreamCreateWithPriority)
    ENTRY(cuStreamDestroy) ENTRY(cuStreamSynchronize) ENTRY(cuStreamGetCtx) ENTRY(cuStreamWaitEvent)
    ENTRY(cuCtxGetStreamPriorityRange) ENTRY(cuEventCreate) ENTRY(cuEventDestroy)
    ENTRY(cuEventRecord) ENTRY(cuEventSynchronize) ENTRY(cuEventQuery) ENTRY(cuStreamIsCapturing)
    ENTRY(cuStreamBeginCapture) ENTRY(cuStreamGetCaptureInfo) ENTRY(cuStreamEndCapture)
    ENTRY(cuGraphInstantiateWithParams) ENTRY(cuGraphLaunch) ENTRY(cuGraphDestroy)
    ENTRY(cuGraphExecDestroy) ENTRY(cuUserObjectCreate) ENTRY(cuUserObjectRelease)
    ENTRY(cuGraphRetainUserObject) ENTRY(cuGraphReleaseUserObject) ENTRY(cuLibraryLoadData)
    ENTRY(cuLibraryUnload) ENTRY(cuLibraryGetKernel) ENTRY(cuKernelGetFunction)
    ENTRY(cuKernelGetAttribute) ENTRY(cuFuncGetAttribute) ENTRY(cuLaunchKernelEx)
    ENTRY(cuLaunchKernel) ENTRY(cuGetErrorName) ENTRY(cuGetErrorString)
    /* clang-format on */
};

CUresult cuGetProcAddress_v2(const char *name, void **function, int version, cuuint64_t flags,
                             CUdriverProcAddressQueryResult *status) {
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++)
        if (!strcmp(functions[i].name, name)) {
            *function = functions[i].function;
            return CUDA_SUCCESS;
        }
    *function =
        strcmp(name, "cuGetProcAddress") ? missing_function(name) : (void *)cuGetProcAddress_v2;
    return CUDA_SUCCESS;
}
