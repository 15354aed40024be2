#include "timeline_file.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

namespace foregate {
namespace {

constexpr double kMicro = 1e-6;

}  // namespace

offload::TimelineSpan TimelineFile::recorder() {
  return [this](offload::TimelineLane lane, int64_t step, int layer, int expert, double start,
                double seconds) {
    std::string name(offload::timeline_lane_name(lane));
    if (layer >= 0) name = fmt::format("layer {}", layer);
    if (expert >= 0) name += fmt::format(" expert {}", expert);
    events_.push_back({{"name", name},
                       {"cat", offload::timeline_lane_name(lane)},
                       {"ph", "X"},
                       {"ts", start / kMicro},
                       {"dur", seconds / kMicro},
                       {"pid", 1},
                       {"tid", static_cast<int>(lane) + 1},
                       {"args", {{"step", step}}}});
  };
}

void TimelineFile::write(const std::filesystem::path& path) const {
  Json events = Json::array();
  for (int lane = 0; lane <= static_cast<int>(offload::TimelineLane::kCpu); ++lane) {
    const auto name = offload::timeline_lane_name(static_cast<offload::TimelineLane>(lane));
    events.push_back({{"name", "thread_name"},
                      {"ph", "M"},
                      {"pid", 1},
                      {"tid", lane + 1},
                      {"args", {{"name", name}}}});
  }
  for (const Json& event : events_) events.push_back(event);
  write_json_atomically(path, {{"traceEvents", std::move(events)}, {"displayTimeUnit", "ms"}});
}

}  // namespace foregate
