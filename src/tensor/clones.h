#ifndef TENSOR_CLONES_H
#define TENSOR_CLONES_H

/*
 * One binary for every x86-64: a function marked CLONES is built for AVX-512,
 * for AVX2 and for the baseline, and the loader picks one. The sanitizers run
 * before the loader's choice works, clang 14 has no such clones, and other
 * processors need none: there it means nothing.
 */
#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define CLONES_SANITIZED 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define CLONES_SANITIZED 1
#endif

#if defined(__x86_64__) && defined(__gnu_linux__) && !defined(__clang__) && __GNUC__ >= 12 && \
	!defined(CLONES_SANITIZED)
#define CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define CLONES
#endif

/* What a clone calls must become part of it, or it would run the baseline's code. */
#define ALWAYS_INLINE inline __attribute__((always_inline))

#endif
