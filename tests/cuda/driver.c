/* A driver that says what it is told: -DVERSION (1000 · major + 10 · minor), -DCODE (what its start says), -DGPUS. */
#include <string.h>

int cuInit(unsigned flags) { return flags ? 1 : CODE; }
int cuDriverGetVersion(int *version) { *version = VERSION; return 0; }
int cuDeviceGetCount(int *count) { *count = GPUS; return 0; }
int cuDeviceGet(int *device, int index) { *device = index + 40; return index < GPUS ? 0 : 101; }
int cuDeviceGetName(char *name, int size, int device) { strncpy(name, device == 41 ? "second" : "first", size); return 0; }
int cuDeviceTotalMem_v2(size_t *bytes, int device) { *bytes = (size_t)(device - 39) << 34; return 0; }
int cuDeviceGetAttribute(int *value, int attribute, int device) { *value = attribute == 75 ? 8 : 6; return 0; }
