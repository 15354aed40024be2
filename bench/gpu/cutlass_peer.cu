#include <cutlass/epilogue/thread/linear_combination.h>
#include <cutlass/gemm/device/gemm.h>

#include "kernels/gemm/grouped_gemm.h"

// CUTLASS's product by mma.sync, one group and nothing fused: what a library gets out of the
// instructions that the sm_80 kernel is made of.

namespace {

using Value = cutlass::bfloat16_t;

template <int kRows, int kColumns, int kDepth, int kStages>
using Gemm = cutlass::gemm::device::Gemm<
    Value, cutlass::layout::RowMajor, Value, cutlass::layout::ColumnMajor, Value,
    cutlass::layout::RowMajor, float, cutlass::arch::OpClassTensorOp, cutlass::arch::Sm80,
    cutlass::gemm::GemmShape<kRows, kColumns, kDepth>, cutlass::gemm::GemmShape<64, 64, kDepth>,
    cutlass::gemm::GemmShape<16, 8, 16>,
    cutlass::epilogue::thread::LinearCombination<Value, 8, float, float>,
    cutlass::gemm::threadblock::GemmIdentityThreadblockSwizzle<8>, kStages>;

}  // namespace

template <int kRows, int kColumns, int kDepth, int kStages>
cudaError_t cutlass_gemm(const foregate::kernels::GroupedGemm& problem, cudaStream_t stream) {
  const int rows = static_cast<int>(problem.rows);
  const int n = static_cast<int>(problem.n);
  const int k = static_cast<int>(problem.k);
  auto* out = static_cast<Value*>(problem.out);
  Gemm<kRows, kColumns, kDepth, kStages> gemm;
  const cutlass::Status status = gemm({{rows, n, k},
                                       {static_cast<const Value*>(problem.x), k},
                                       {static_cast<const Value*>(problem.weight), k},
                                       {out, n},
                                       {out, n},
                                       {1, 0}},
                                      nullptr, stream);
  return status == cutlass::Status::kSuccess ? cudaGetLastError() : cudaErrorUnknown;
}

using foregate::kernels::GroupedGemm;
template cudaError_t cutlass_gemm<128, 256, 64, 3>(const GroupedGemm&, cudaStream_t);
template cudaError_t cutlass_gemm<256, 128, 64, 3>(const GroupedGemm&, cudaStream_t);
