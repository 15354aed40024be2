#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

namespace foregate::testing {

/// The 32-bit word number `at` of an expert's part.
__host__ __device__ inline uint32_t expert_word(int expert, int part, int64_t at) {
  uint32_t value = static_cast<uint32_t>(expert) * 0x9e3779b9U +
                   static_cast<uint32_t>(part) * 0x85ebca6bU + static_cast<uint32_t>(at);
  value = (value ^ (value >> 16)) * 0x7feb352dU;
  return value ^ (value >> 15);
}

}  // namespace foregate::testing
