#include "offload/time/hardware.h"

#include <cmath>
#include <nlohmann/json.hpp>

namespace foregate::offload {
namespace {

constexpr double kMost = 1e18;

Json link_to_json(const LinkSpeed& link) {
  Json points = Json::array();
  for (const LinkSpeed::Point& point : link.points)
    points.push_back({{"bytes", point.bytes}, {"bytes_per_second", point.bytes_per_second}});
  return {{"issue_seconds", link.issue_seconds}, {"points", std::move(points)}};
}

LinkSpeed link_from_json(const JsonReader& reader) {
  LinkSpeed link;
  link.issue_seconds = reader.number("issue_seconds", 0, 1);
  for (const Json& json : reader.array("points")) {
    const JsonReader point(json, reader.where() + ": points");
    link.points.push_back(
        {point.number("bytes", 1, kMost), point.number("bytes_per_second", 1, kMost)});
    if (link.points.size() > 1 && link.points.back().bytes <= link.points.end()[-2].bytes)
      point.fail("bytes", "points of rising size");
  }
  return link;
}

}  // namespace

double LinkSpeed::seconds(double bytes) const {
  if (bytes <= 0 || points.empty()) return 0;
  if (bytes <= points.front().bytes) return bytes / points.front().bytes_per_second;
  for (size_t i = 1; i < points.size(); ++i) {
    if (bytes > points[i].bytes) continue;
    const Point& low = points[i - 1];
    const Point& high = points[i];
    const double share = std::log(bytes / low.bytes) / std::log(high.bytes / low.bytes);
    return bytes / (low.bytes_per_second + share * (high.bytes_per_second - low.bytes_per_second));
  }
  return bytes / points.back().bytes_per_second;
}

Json hardware_to_json(const HardwareProfile& profile) {
  return {{"name", profile.name},
          {"source", profile.source},
          {"host_to_device", link_to_json(profile.host_to_device)},
          {"storage_to_host", link_to_json(profile.storage_to_host)},
          {"device_bytes_per_second", profile.device_bytes_per_second},
          {"device_flops", profile.device_flops},
          {"layer_seconds", profile.layer_seconds},
          {"host_bytes_per_second", profile.host_bytes_per_second},
          {"host_bytes_per_second_beside_link", profile.host_bytes_per_second_beside_link},
          {"host_seconds", profile.host_seconds}};
}

HardwareProfile hardware_from_json(const JsonReader& reader) {
  HardwareProfile profile;
  profile.name = reader.string("name");
  profile.source = reader.string("source", "");
  profile.host_to_device = link_from_json(reader.object("host_to_device"));
  if (profile.host_to_device.points.empty())
    reader.object("host_to_device").fail("points", "at least one");
  if (reader.has("storage_to_host"))
    profile.storage_to_host = link_from_json(reader.object("storage_to_host"));
  profile.device_bytes_per_second = reader.number("device_bytes_per_second", 1, kMost);
  profile.device_flops = reader.number("device_flops", 1, kMost);
  profile.layer_seconds = reader.number("layer_seconds", 0, 1);
  profile.host_bytes_per_second = reader.number("host_bytes_per_second", 0, kMost, 0);
  profile.host_bytes_per_second_beside_link =
      reader.number("host_bytes_per_second_beside_link", 0, kMost, profile.host_bytes_per_second);
  profile.host_seconds = reader.number("host_seconds", 0, 1, 0);
  return profile;
}

}  // namespace foregate::offload
