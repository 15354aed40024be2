#pragma once

namespace foregate::collect {

/// Seconds that the stages of a run worked. Those behind `plan` ran at the same time, and what they
/// waited for each other is not counted.
struct StageTimes {
  double load = 0;     ///< the model
  double plan = 0;     ///< counting the datasets' texts
  double total = 0;    ///< all that follows, by the clock
  double read = 0;     ///< reading and tokenising
  double forward = 0;  ///< packing, and on a GPU queueing its work
  double device = 0;   ///< the GPU, from a batch's first to its last operation; 0 on the CPU
  double write = 0;    ///< encoding and writing
};

}  // namespace foregate::collect
