#pragma once

#include "base/run_context.h"

namespace foregate::offload {

/// What the host's memory gives, measured in about two seconds.
struct HostSpeed {
  int threads = 0;
  double read_bytes_per_second = 0;  ///< that all threads read together
  /// The same while another thread copies memory, as a link would.
  double read_bytes_per_second_beside_copy = 0;
};

/// Reads and copies buffers that no cache holds. Throws EnvironmentError without the memory for
/// them (1 GB), InterruptedError.
HostSpeed measure_host(const RunContext& run);

}  // namespace foregate::offload
