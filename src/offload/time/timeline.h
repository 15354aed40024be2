#pragma once

#include <cstdint>
#include <functional>
#include <string_view>

namespace foregate::offload {

enum class TimelineLane : uint8_t { kCompute, kWait, kDemand, kPrefetch, kPredictor, kCpu };
std::string_view timeline_lane_name(TimelineLane lane);

/// Something that took time, in seconds from the beginning. layer -1: no layer's.
using TimelineSpan = std::function<void(TimelineLane lane, int64_t step, int layer, int expert,
                                        double start, double seconds)>;

}  // namespace foregate::offload
