#pragma once

#include <torch/types.h>

#include <string>
#include <vector>

#include "base/run_context.h"

namespace foregate::tensor {

/// What a GPU and the link to it give, measured.
struct CardSpeed {
  struct Copy {
    double bytes = 0;
    double seconds = 0;
  };
  std::string name;
  /// One of many in a row from pinned memory, by rising size; the first is so small that it is
  /// nothing but its issue.
  std::vector<Copy> copies;
  double bytes_per_second = 0;  ///< that a matrix in bfloat16 is read with, times one vector
  double flops = 0;             ///< of products of large matrices in bfloat16
};

/// Takes some seconds and 2 GB of the card's memory. Throws DeviceError if the device is not a GPU,
/// OutOfMemoryError or InterruptedError.
CardSpeed measure_card(torch::Device device, const RunContext& run);

}  // namespace foregate::tensor
