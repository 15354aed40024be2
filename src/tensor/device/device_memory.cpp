#include "tensor/device/device_memory.h"

#include <algorithm>

#ifdef FOREGATE_CUDA
#include <ATen/Context.h>
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAGuard.h>
#endif

namespace foregate::tensor {

DeviceMemory device_memory([[maybe_unused]] torch::Device device) {
  DeviceMemory memory;
#ifdef FOREGATE_CUDA
  if (!device.is_cuda()) return memory;
  at::globalContext().lazyInitDevice(device.type());  // before it the allocator knows no device
  const c10::cuda::CUDAGuard guard(device);
  size_t free = 0;
  size_t total = 0;
  C10_CUDA_CHECK(cudaMemGetInfo(&free, &total));
  memory.total = static_cast<int64_t>(total);
  memory.free = static_cast<int64_t>(free);
  // The first of the statistics is the sum over the allocator's pools.
  memory.peak_used =
      c10::cuda::CUDACachingAllocator::getDeviceStats(device.index()).allocated_bytes[0].peak;
#endif
  return memory;
}

void limit_device_memory([[maybe_unused]] torch::Device device, [[maybe_unused]] int64_t bytes) {
#ifdef FOREGATE_CUDA
  if (!device.is_cuda()) return;
  const double share =
      static_cast<double>(bytes) / static_cast<double>(device_memory(device).total);
  c10::cuda::CUDACachingAllocator::setMemoryFraction(std::min(share, 1.0), device.index());
#endif
}

}  // namespace foregate::tensor
