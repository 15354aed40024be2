#pragma once

#include <cstdint>

namespace foregate::kernels {

// What one branch of a step tells another, in the device's scope.

__device__ inline uint32_t load_acquire(const uint32_t* word) {
  uint32_t value;
  asm volatile("ld.acquire.gpu.global.u32 %0, [%1];" : "=r"(value) : "l"(word) : "memory");
  return value;
}

template <typename T>
__device__ T load_relaxed(const T* word) {
  static_assert(sizeof(T) == 4);
  uint32_t value;
  asm volatile("ld.relaxed.gpu.global.u32 %0, [%1];" : "=r"(value) : "l"(word) : "memory");
  return static_cast<T>(value);
}

template <typename T>
__device__ void store_relaxed(T* word, T value) {
  static_assert(sizeof(T) == 4);
  asm volatile("st.relaxed.gpu.global.u32 [%0], %1;" ::"l"(word), "r"(static_cast<uint32_t>(value))
               : "memory");
}

__device__ inline void store_release(uint32_t* word, uint32_t value) {
  asm volatile("st.release.gpu.global.u32 [%0], %1;" ::"l"(word), "r"(value) : "memory");
}

__device__ inline uint32_t add_acquire(uint32_t* word, uint32_t value) {
  uint32_t before;
  asm volatile("atom.acquire.gpu.global.add.u32 %0, [%1], %2;"
               : "=r"(before)
               : "l"(word), "r"(value)
               : "memory");
  return before;
}

__device__ inline void add_release(uint32_t* word, uint32_t value) {
  asm volatile("red.release.gpu.global.add.u32 [%0], %1;" ::"l"(word), "r"(value) : "memory");
}

/// Nanoseconds of the device's clock.
__device__ inline uint64_t now_ns() {
  uint64_t time;
  asm volatile("mov.u64 %0, %globaltimer;" : "=l"(time));
  return time;
}

}  // namespace foregate::kernels
