// Markers for code that the CPU and CUDA share, and for loops of which the CPU keeps several
// versions.
#pragma once

#if defined(__CUDACC__)
#define EFIQA_HOST_DEVICE __host__ __device__
#else
#define EFIQA_HOST_DEVICE
#endif

// On a hot loop: one binary holds it for several instruction sets and picks at load time. The loop
// must be element-wise, so that every clone rounds alike.
#if defined(__GNUC__) && !defined(__clang__) && defined(__x86_64__) && defined(__linux__) && \
    !defined(__CUDACC__) && !defined(EFIQA_NO_CLONES)
#define EFIQA_CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define EFIQA_CLONES
#endif
