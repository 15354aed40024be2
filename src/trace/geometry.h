#pragma once

#include <string>
#include <vector>

#include "base/json.h"

namespace foregate::trace {

/// Shape of a model's routing: what a trace needs to know about the model that made it.
struct Geometry {
  int num_moe_layers = 0;       ///< L, MoE layers with a recorded decision
  int num_experts = 0;          ///< E, experts per MoE layer (shared experts not counted), <= 65536
  int top_k = 0;                ///< k, experts per decision
  int hidden_size = 0;          ///< H; 0 if unknown (imported traces)
  int vocab_size = 0;           ///< 0 if unknown
  int num_decoder_layers = 0;   ///< 0 if unknown
  std::vector<int> moe_layers;  ///< [L] decoder layer index of each MoE layer

  bool operator==(const Geometry&) const = default;
};

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
