#include "kernels/gemm/grouped_gemm.h"

#include <limits>

namespace foregate::kernels {
namespace {

constexpr int kHopper = 9;

bool is_aligned(const void* pointer) {
  return reinterpret_cast<uintptr_t>(pointer) % 16 == 0;
}

// Of a product whose heads turn.
bool is_of_whole_heads(const GroupedGemm& problem) {
  return problem.n % kRotatedHeadSize == 0 && problem.rotation.columns <= problem.n &&
         problem.rotation.columns % kRotatedHeadSize == 0 && problem.groups == 1 &&
         problem.x_rows == nullptr && !problem.silu_product;
}

}  // namespace

bool has_fused_gemm(int device) {
  int major = 0;
  return cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device) == cudaSuccess &&
         major == kHopper;
}

bool can_run(const GroupedGemm& problem) {
  constexpr int64_t kMost = std::numeric_limits<int32_t>::max();
  const int64_t outputs = problem.silu_product ? problem.n / 2 : problem.n;
  const bool rotates = problem.rotation.positions != nullptr;
  if (rotates ? !is_of_whole_heads(problem) : problem.bias != nullptr) return false;
  return problem.k > 0 && outputs > 0 && problem.k % 8 == 0 && outputs % 8 == 0 &&
         problem.rows <= kMost && num_matrices(problem) * problem.n <= kMost &&
         problem.k <= kMost && is_aligned(problem.x) && is_aligned(problem.weight) &&
         is_aligned(problem.out);
}

cudaError_t grouped_gemm(const GroupedGemm& problem, cudaStream_t stream) {
  if (problem.rows == 0) return cudaSuccess;
  if (!can_run(problem)) return cudaErrorInvalidValue;
  int device = 0;
  const cudaError_t error = cudaGetDevice(&device);
  if (error != cudaSuccess) return error;
  if (has_fused_gemm(device)) return grouped_gemm_sm90(problem, stream);
  return grouped_gemm_sm80(problem, stream);
}

}  // namespace foregate::kernels
