#pragma once

#include <cuda_runtime.h>

#include <utility>
#include <vector>

namespace foregate::kernels {

// Kernels of a step that follow each other within microseconds: one may begin while the one before
// it still runs ("programmatic dependent launch", Hopper and later), and reads what never changes,
// weights above all, before it waits for what the one before it wrote.

/// Waits until all that was launched before is done. Before it, a kernel reads nothing that an
/// earlier one writes, and writes nothing.
__device__ inline void wait_for_previous() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}

/// Lets the next kernel begin. Behind wait_for_previous(), so that the next may rely on all that
/// was done before this kernel.
__device__ inline void let_next_begin() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.launch_dependents;");
#endif
}

/// What launches ask a device for.
struct LaunchDevice {
  int processors = 1;
  size_t shared_bytes = 48 << 10;  ///< that a block may have
  bool begins_early = false;       ///< whether a kernel can begin before the one before it is done
};

/// Of the current device.
inline LaunchDevice launch_device() {
  static const std::vector<LaunchDevice> all = [] {
    int count = 0;
    if (cudaGetDeviceCount(&count) != cudaSuccess) count = 0;
    std::vector<LaunchDevice> devices(static_cast<size_t>(count));
    for (int i = 0; i < count; ++i) {
      int major = 0;
      int shared = 0;
      LaunchDevice& device = devices[static_cast<size_t>(i)];
      if (cudaDeviceGetAttribute(&device.processors, cudaDevAttrMultiProcessorCount, i) ==
              cudaSuccess &&
          cudaDeviceGetAttribute(&shared, cudaDevAttrMaxSharedMemoryPerBlockOptin, i) ==
              cudaSuccess &&
          cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, i) == cudaSuccess) {
        device.shared_bytes = static_cast<size_t>(shared);
        device.begins_early = major >= 9;
      }
    }
    return devices;
  }();
  int current = 0;
  const bool known =
      cudaGetDevice(&current) == cudaSuccess && static_cast<size_t>(current) < all.size();
  return known ? all[static_cast<size_t>(current)] : LaunchDevice{};
}

struct LaunchShape {
  dim3 grid;
  unsigned threads;
  size_t shared_bytes = 0;
};

/// Launches a kernel that calls wait_for_previous().
template <typename... Parameters, typename... Arguments>
cudaError_t launch_early(void (*kernel)(Parameters...), const LaunchShape& shape,
                         cudaStream_t stream, Arguments&&... arguments) {
  cudaLaunchAttribute attribute{};
  attribute.id = cudaLaunchAttributeProgrammaticStreamSerialization;
  attribute.val.programmaticStreamSerializationAllowed = 1;
  cudaLaunchConfig_t config{};
  config.gridDim = shape.grid;
  config.blockDim = dim3(shape.threads);
  config.dynamicSmemBytes = shape.shared_bytes;
  config.stream = stream;
  config.attrs = &attribute;
  config.numAttrs = launch_device().begins_early ? 1 : 0;
  return cudaLaunchKernelEx(&config, kernel, Parameters(std::forward<Arguments>(arguments))...);
}

}  // namespace foregate::kernels
