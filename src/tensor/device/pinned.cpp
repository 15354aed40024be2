#include "tensor/device/pinned.h"

#include <ATen/Parallel.h>
#include <fmt/core.h>
#include <torch/types.h>

#include <cstdlib>

#include "base/error.h"
#include "base/number_text.h"

#ifdef FOREGATE_CUDA
#include <c10/cuda/CUDAException.h>
#include <cuda_runtime_api.h>
#endif

namespace foregate::tensor {
namespace {

constexpr int64_t kPage = 4096;
constexpr int64_t kGrainPages = 1024;

[[noreturn]] void fail(int64_t bytes, const char* why) {
  throw OutOfMemoryError(
      fmt::format("no {} of pinned host memory: {}; keep less of the model there",
                  human_bytes(static_cast<uint64_t>(bytes)), why));
}

// Writes to every page, so that it is there.
void touch(std::byte* memory, int64_t bytes) {
  at::parallel_for(0, bytes / kPage, kGrainPages, [&](int64_t begin, int64_t end) {
    for (int64_t page = begin; page < end; ++page) memory[page * kPage] = std::byte{0};
  });
}

}  // namespace

torch::Tensor pinned_bytes(int64_t bytes) {
  const int64_t whole = (bytes / kPage + 1) * kPage;
  void* memory = std::aligned_alloc(kPage, static_cast<size_t>(whole));
  if (memory == nullptr) fail(bytes, "the machine has none left");
  touch(static_cast<std::byte*>(memory), whole);
#ifdef FOREGATE_CUDA
  const cudaError_t error =
      cudaHostRegister(memory, static_cast<size_t>(whole), cudaHostRegisterDefault);
  if (error != cudaSuccess) {
    cudaGetLastError();  // told here, not by the next call
    std::free(memory);
    fail(bytes, cudaGetErrorString(error));
  }
  const auto release = [](void* registered) {
    C10_CUDA_CHECK_WARN(cudaHostUnregister(registered));
    std::free(registered);
  };
#else
  const auto release = [](void* plain) { std::free(plain); };
#endif
  return torch::from_blob(memory, {bytes}, release, torch::TensorOptions(torch::kUInt8));
}

torch::Tensor pinned_copy(const torch::Tensor& source) {
  const auto bytes = static_cast<int64_t>(source.nbytes());
  torch::Tensor copy = pinned_bytes(bytes).view(source.scalar_type()).view(source.sizes());
  copy.copy_(source);
  return copy;
}

}  // namespace foregate::tensor
