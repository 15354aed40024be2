#include "offload/time/timeline.h"

#include <stdexcept>

namespace foregate::offload {

std::string_view timeline_lane_name(TimelineLane lane) {
  switch (lane) {
    case TimelineLane::kCompute:
      return "compute";
    case TimelineLane::kWait:
      return "wait";
    case TimelineLane::kDemand:
      return "demand";
    case TimelineLane::kPrefetch:
      return "prefetch";
    case TimelineLane::kPredictor:
      return "predictor";
    case TimelineLane::kCpu:
      return "CPU experts";
  }
  throw std::logic_error("a lane without a name");
}

}  // namespace foregate::offload
