#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace foregate::tensor {

/// A GPU that CUDA_VISIBLE_DEVICES lets this process see.
struct Gpu {
  int index = 0;  ///< of cuda:N
  std::string name{};
  int major = 0;  ///< compute capability
  int minor = 0;
  int64_t free = 0;  ///< bytes of its memory; 0 if nothing tells
  int64_t total = 0;
};

/// The visible GPUs. Their memory is asked of the driver's management library, so that none of them
/// is opened for it. Throws DeviceError if there is no driver, or one too old for this CUDA.
std::vector<Gpu> visible_gpus();

/// The one with the most free memory, the first of equals. `gpus` is not empty.
const Gpu& freest_gpu(const std::vector<Gpu>& gpus);

/// Whether machine code for `architectures`, those of CMAKE_CUDA_ARCHITECTURES ("80-real,90a"),
/// runs on a GPU: code for X.Y runs on X.Z with Z >= Y, that for "90a" on 9.0 alone.
bool runs_on(std::string_view architectures, const Gpu& gpu);

/// Throws DeviceError if the kernels of this build have no machine code for the GPU.
void require_compiled_for(const Gpu& gpu);

}  // namespace foregate::tensor
