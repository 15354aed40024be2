#pragma once

#include <torch/types.h>

#include <cstdint>

namespace foregate::tensor {

/// Bytes of a GPU's memory; zeros for the CPU, and in builds without CUDA.
struct DeviceMemory {
  int64_t total = 0;
  int64_t free = 0;
  int64_t peak_used = 0;  ///< most that tensors of this process took at once
};

DeviceMemory device_memory(torch::Device device);

/// Lets this process's tensors take at most `bytes` of the device: what asks for more runs out of
/// memory, as on a smaller card. Does nothing for the CPU.
void limit_device_memory(torch::Device device, int64_t bytes);

}  // namespace foregate::tensor
