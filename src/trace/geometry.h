#pragma once

#include <string>

#include "base/json.h"
#include "trace/trace.h"

namespace foregate::trace {

inline constexpr int kMaxLayers = 1 << 16;
inline constexpr int kMaxExperts = 65536;  ///< experts are stored as uint16

Json geometry_to_json(const Geometry& geometry);
/// Throws DataError naming document and key.
Geometry geometry_from_json(const JsonReader& reader);
/// Throws DataError, its message beginning with `where`, if no model can have this geometry.
void check_geometry(const Geometry& geometry, const std::string& where);
/// "num_experts is 8, expected 60" for the first field in which two geometries differ; empty if
/// they are equal.
std::string geometry_difference(const Geometry& found, const Geometry& expected);

}  // namespace foregate::trace
