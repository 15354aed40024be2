#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "kernels/cache/cache.h"

namespace foregate::testing {

/// Stands in for an event's products: adds to *wrong how many words of the chosen experts' slots
/// are not those of these experts, and reads each `rounds` times.
cudaError_t read_slots(const kernels::CacheTables& tables, const kernels::ExpertParts& parts,
                       const kernels::CacheEvent& event, int rounds, unsigned long long* wrong,
                       cudaStream_t stream);

}  // namespace foregate::testing
