#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace foregate::offload {

/// How fast one direction of a link moves pieces of a size.
struct LinkSpeed {
  struct Point {
    double bytes = 0;
    double bytes_per_second = 0;
  };
  double issue_seconds = 0;  ///< before a copy moves its first byte
  std::vector<Point>
      points;  ///< by rising size; between them the rate goes with the size's logarithm

  /// Of a copy of so many bytes, without its issue; 0 of none.
  double seconds(double bytes) const;
};

/// What a machine gives: data, measured or from its maker.
struct HardwareProfile {
  std::string name;
  std::string source;  ///< where the numbers come from
  LinkSpeed host_to_device;
  LinkSpeed storage_to_host;           ///< NVMe; no points: there is none
  double device_bytes_per_second = 0;  ///< memory bandwidth that kernels reach
  double device_flops = 0;             ///< of dense matrix products in 16 bits
  double layer_seconds = 0;            ///< a layer takes at least so long: launches, small kernels
  double host_bytes_per_second = 0;    ///< that experts on the CPU read weights at
  /// Of the same while the link is busy: both share the host's memory.
  double host_bytes_per_second_beside_link = 0;
  double host_seconds = 0;  ///< to hand a layer's tokens to the CPU and add what comes back
};

/// Named profiles: consumer and data-center cards behind PCIe 3, 4 and 5.
std::span<const HardwareProfile> hardware_profiles();
/// Throws UsageError that lists the names.
const HardwareProfile& find_hardware(std::string_view name);

Json hardware_to_json(const HardwareProfile& profile);
/// Throws DataError naming document and key.
HardwareProfile hardware_from_json(const JsonReader& reader);

}  // namespace foregate::offload
