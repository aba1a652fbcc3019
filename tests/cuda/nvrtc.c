/* A run-time compiler of CUDA -DMAJOR.-DMINOR for compute capabilities 5.0, 9.0 and 10.0. */
int nvrtcVersion(int *major, int *minor) { *major = MAJOR; *minor = MINOR; return 0; }
int nvrtcGetNumSupportedArchs(int *count) { *count = 3; return 0; }
int nvrtcGetSupportedArchs(int *archs) { archs[0] = 100; archs[1] = 50; archs[2] = 90; return 0; }
