#pragma once

#include <c10/util/Exception.h>
#include <fmt/core.h>
#include <torch/types.h>

#include <new>
#include <string>

#include "base/error.h"

namespace foregate::engine {

/// Whether libtorch ran out of memory. CUDA's allocator throws a type of its own, the CPU's a plain
/// error.
inline bool is_out_of_memory(const c10::Error& error) {
  return dynamic_cast<const c10::OutOfMemoryError*>(&error) != nullptr ||
         error.msg().find("can't allocate memory") != std::string::npos;
}

/// For people: `what` did not fit.
inline OutOfMemoryError out_of_memory(const torch::Device& device, const std::string& what) {
  return OutOfMemoryError(
      fmt::format("{}: {} ran out of memory; use smaller batches, a smaller dtype or "
                  "--quantize, or a device with more memory",
                  what, device.str()));
}

/// Runs `work`, turning libtorch's running out of memory into an error for people.
template <typename Work>
auto report_out_of_memory(const torch::Device& device, const std::string& what, const Work& work) {
  try {
    return work();
  } catch (const c10::Error& error) {
    if (!is_out_of_memory(error)) throw;
    throw out_of_memory(device, what);
  } catch (const std::bad_alloc&) {
    throw out_of_memory(device, what);
  }
}

}  // namespace foregate::engine
