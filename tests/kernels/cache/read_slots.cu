#include "read_slots.h"

#include "expert_word.h"
#include "kernels/dependent_launch.cuh"

namespace foregate::testing {
namespace {

constexpr int kThreads = 256;

__global__ void read_kernel(const kernels::CacheTables tables,
                            const __grid_constant__ kernels::ExpertParts parts,
                            const kernels::CacheEvent event, int rounds,
                            unsigned long long* wrong) {
  kernels::wait_for_previous();
  kernels::let_next_begin();
  const int pair = static_cast<int>(blockIdx.y);
  const int expert = event.layer * tables.shape.experts + static_cast<int>(event.chosen[pair]);
  const int slot = tables.slot_of[expert];
  unsigned errors = 0;
  for (int round = 0; round < rounds; ++round) {
    for (int part = 0; part < parts.count; ++part) {
      const int64_t size = parts.bytes[part] / 4;
      const auto* const words = static_cast<const uint32_t*>(parts.slots[part]) + slot * size;
      for (int64_t i = int64_t{blockIdx.x} * kThreads + threadIdx.x; i < size;
           i += int64_t{gridDim.x} * kThreads) {
        if (slot < 0 || words[i] != expert_word(expert, part, i)) ++errors;
      }
    }
  }
  if (errors > 0) atomicAdd(wrong, errors);
}

}  // namespace

cudaError_t read_slots(const kernels::CacheTables& tables, const kernels::ExpertParts& parts,
                       const kernels::CacheEvent& event, int rounds, unsigned long long* wrong,
                       cudaStream_t stream) {
  const dim3 grid(4, static_cast<unsigned>(event.tokens * event.top_k));
  return kernels::launch_early(read_kernel, {grid, kThreads}, stream, tables, parts, event, rounds,
                               wrong);
}

}  // namespace foregate::testing
