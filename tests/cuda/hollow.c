/* A GPU of compute capability -DMAJOR.-DMINOR that takes and gives memory, loads what was compiled for it, and does nothing when it is
   asked to compute; or, with -DEMULATED and the files of ptx, what it is asked for. It refuses what a real one would: a kernel that asks for more threads or shared memory than there are. */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SUCCESS = 0, INVALID = 1, OUT_OF_MEMORY = 2, ABSENT = 101 };
enum { SHARED = 232448, THREADS = 1024 };

#ifdef EMULATED
void *ptx_load(const char *text);
void *ptx_function(void *module, const char *name);
const char *ptx_name(void *function);
void ptx_launch(void *function, const unsigned grid[3], const unsigned block[3], unsigned shared, void **arguments);
#else
/* A function is its name, to be told of where it is refused. */
static void *ptx_load(const char *text) { return strstr(text, ".entry") ? strdup("module") : NULL; }
static void *ptx_function(void *module, const char *name) { return module ? strdup(name) : NULL; }
static const char *ptx_name(void *function) { return function; }
static void ptx_launch(void *function, const unsigned grid[3], const unsigned block[3], unsigned shared, void **arguments) {}
#endif

static unsigned modules, launches;
static void tell(void) { fprintf(stderr, "hollow: %u modules, %u launches\n", modules, launches); }

int cuInit(unsigned flags) { static int told; if (!told++) atexit(tell); return flags ? INVALID : SUCCESS; }
int cuDriverGetVersion(int *version) { *version = 13020; return SUCCESS; }
int cuDeviceGetCount(int *count) { *count = 1; return SUCCESS; }
int cuDeviceGet(int *device, int index) { *device = index; return index ? ABSENT : SUCCESS; }
int cuDeviceGetName(char *name, int size, int device) { strncpy(name, "hollow", size); return device; }
int cuDeviceTotalMem_v2(size_t *bytes, int device) { *bytes = (size_t)80 << 30; return device; }
int cuDeviceGetAttribute(int *value, int attribute, int device) {
    switch (attribute) {
    case 1: *value = THREADS; break;                                /* threads of a block */
    case 2: case 3: *value = 1024; break;                           /* its width and height */
    case 4: *value = 64; break;                                     /* its depth */
    case 5: *value = 2147483647; break;                             /* blocks of a grid */
    case 6: case 7: *value = 65535; break;
    case 10: *value = 32; break;                                    /* threads of a warp */
    case 16: *value = 132; break;                                   /* multiprocessors */
    case 75: *value = MAJOR; break;
    case 76: *value = MINOR; break;
    case 97: *value = SHARED; break;                                /* shared memory of a block that asks for it */
    default: *value = 1;
    }
    return device;
}
int cuGetErrorName(int error, const char **text) { *text = error == SUCCESS ? "success" : "refused"; return SUCCESS; }
int cuGetErrorString(int error, const char **text) { return cuGetErrorName(error, text); }

/* NVRTC looks at a table of the driver's where one is loaded; this one says that it holds nothing. */
int cuGetExportTable(const void **found, const void *id) { static const size_t table[1] = {sizeof table}; *found = table; return id ? SUCCESS : INVALID; }

static int context;
int cuDevicePrimaryCtxRetain(void **made, int device) { *made = &context; return device; }
int cuCtxSetCurrent(void *current) { return current == &context ? SUCCESS : INVALID; }
int cuCtxSynchronize(void) { return SUCCESS; }

int cuMemAlloc_v2(void **made, size_t bytes) { return (*made = calloc(bytes, 1)) ? SUCCESS : OUT_OF_MEMORY; }
int cuMemAllocAsync(void **made, size_t bytes, void *stream) { return stream ? cuMemAlloc_v2(made, bytes) : INVALID; }
int cuMemAllocHost_v2(void **made, size_t bytes) { return cuMemAlloc_v2(made, bytes); }
int cuMemFree_v2(void *memory) { free(memory); return SUCCESS; }
int cuMemFreeAsync(void *memory, void *stream) { return stream ? cuMemFree_v2(memory) : INVALID; }
int cuMemFreeHost(void *memory) { return cuMemFree_v2(memory); }
int cuMemcpyHtoDAsync_v2(void *to, const void *from, size_t bytes, void *stream) { memcpy(to, from, bytes); return stream ? SUCCESS : INVALID; }
int cuMemcpyDtoHAsync_v2(void *to, const void *from, size_t bytes, void *stream) { return cuMemcpyHtoDAsync_v2(to, from, bytes, stream); }

/* As cuda.h has it; memory of the host is kind 1, of the GPU kind 2. */
typedef struct {
    size_t source_x, source_y; unsigned source_kind; const char *source_host; char *source_device; void *source_array; size_t source_pitch;
    size_t target_x, target_y; unsigned target_kind; char *target_host; char *target_device; void *target_array; size_t target_pitch;
    size_t width, height;
} Copy;
int cuMemcpy2DAsync_v2(const Copy *copy, void *stream) {
    const char *from = copy->source_kind == 1 ? copy->source_host : copy->source_device;
    char *to = copy->target_kind == 1 ? copy->target_host : copy->target_device;
    for (size_t row = 0; row < copy->height; row++)
        memcpy(to + (copy->target_y + row) * copy->target_pitch + copy->target_x, from + (copy->source_y + row) * copy->source_pitch + copy->source_x, copy->width);
    return stream ? SUCCESS : INVALID;
}

static int streams[64], events, next;
int cuStreamCreate(void **made, unsigned flags) { (void)flags; *made = &streams[next++ % 64]; return SUCCESS; }
int cuStreamDestroy_v2(void *stream) { return stream ? SUCCESS : INVALID; }
int cuStreamSynchronize(void *stream) { return stream ? SUCCESS : INVALID; }
int cuStreamWaitEvent(void *stream, void *event, unsigned flags) { (void)flags; return stream && event ? SUCCESS : INVALID; }
int cuEventCreate(void **made, unsigned flags) { (void)flags; *made = &events; return SUCCESS; }
int cuEventRecord(void *event, void *stream) { return stream && event ? SUCCESS : INVALID; }
int cuEventSynchronize(void *event) { return event ? SUCCESS : INVALID; }
int cuEventDestroy_v2(void *event) { return event ? SUCCESS : INVALID; }

int cuModuleLoadData(void **made, const char *image) { modules++; return (*made = ptx_load(image)) ? SUCCESS : INVALID; }
int cuModuleGetFunction(void **made, void *module, const char *name) { return (*made = ptx_function(module, name)) ? SUCCESS : INVALID; }
int cuFuncSetAttribute(void *function, int attribute, int value) { return function && (attribute != 8 || value <= SHARED) ? SUCCESS : INVALID; }
int cuLaunchKernel(void *function, unsigned x, unsigned y, unsigned z, unsigned wide, unsigned high, unsigned deep, unsigned shared, void *stream, void **arguments, void **extra) {
    (void)extra;
    launches++;
    unsigned threads = wide * high * deep;
    int fits = x && y && z && y <= 65535 && z <= 65535 && threads > 0 && threads <= THREADS && deep <= 64 && shared <= SHARED;
    if (!fits) fprintf(stderr, "hollow: refused %s, a grid of %u × %u × %u blocks of %u × %u × %u threads with %u bytes\n", ptx_name(function), x, y, z, wide, high, deep, shared);
    if (!function || !stream || !arguments || !fits) return INVALID;
    ptx_launch(function, (unsigned[]){x, y, z}, (unsigned[]){wide, high, deep}, shared, arguments);
    return SUCCESS;
}
/* What describes a tensor to the copying engine is taken as it is. */
int cuTensorMapEncodeTiled(void *map) { return map ? SUCCESS : INVALID; }
int cuTensorMapEncodeIm2col(void *map) { return map ? SUCCESS : INVALID; }
