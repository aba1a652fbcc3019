/* A run-time compiler of CUDA -DMAJOR.-DMINOR for compute capabilities 5.0, 9.0 and 10.0, which fails if it has something to say (-DLOG). */
#include <string.h>

int nvrtcVersion(int *major, int *minor) { *major = MAJOR; *minor = MINOR; return 0; }
int nvrtcGetNumSupportedArchs(int *count) { *count = 3; return 0; }
int nvrtcGetSupportedArchs(int *archs) { archs[0] = 100; archs[1] = 50; archs[2] = 90; return 0; }

static int program;
int nvrtcCreateProgram(void **made, const char *source, const char *name, int headers, const char **texts, const char **names) {
    *made = &program;
    return strstr(source, "__global__") ? 0 : 1;
}
/* As the real one, it wants to know for which GPU and where the headers are. */
int nvrtcCompileProgram(void *made, int count, const char **options) {
    if (made != &program || count < 2) return 1;
    if (strcmp(options[0], "--gpu-architecture=compute_86") || strncmp(options[1], "--include-path=/", 16)) return 5;
    return LOG[0] ? 6 : 0;
}
int nvrtcGetProgramLogSize(void *made, size_t *size) { *size = sizeof LOG; return 0; }
int nvrtcGetProgramLog(void *made, char *log) { memcpy(log, LOG, sizeof LOG); return 0; }
int nvrtcDestroyProgram(void **made) { *made = 0; return 0; }
