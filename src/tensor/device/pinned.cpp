#include "tensor/device/pinned.h"

#include <torch/types.h>

#include <cstdlib>
#include <new>

#ifdef FOREGATE_CUDA
#include <c10/cuda/CUDAException.h>
#include <cuda_runtime_api.h>
#endif

namespace foregate::tensor {
namespace {

constexpr size_t kPage = 4096;

}  // namespace

torch::Tensor pinned_copy(const torch::Tensor& source) {
  const size_t bytes = (source.nbytes() / kPage + 1) * kPage;
  void* memory = std::aligned_alloc(kPage, bytes);
  if (memory == nullptr) throw std::bad_alloc();
#ifdef FOREGATE_CUDA
  const cudaError_t error = cudaHostRegister(memory, bytes, cudaHostRegisterDefault);
  if (error != cudaSuccess) std::free(memory);
  C10_CUDA_CHECK(error);
  const auto release = [](void* registered) {
    C10_CUDA_CHECK_WARN(cudaHostUnregister(registered));
    std::free(registered);
  };
#else
  const auto release = [](void* plain) { std::free(plain); };
#endif
  torch::Tensor copy =
      torch::from_blob(memory, source.sizes(), release, torch::TensorOptions(source.scalar_type()));
  copy.copy_(source);
  return copy;
}

}  // namespace foregate::tensor
