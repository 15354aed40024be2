#include "trace/geometry.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "base/error.h"

namespace foregate::trace {
namespace {

constexpr int kMaxSize = 1 << 30;

}  // namespace

Json geometry_to_json(const Geometry& geometry) {
  Json json;
  json["num_moe_layers"] = geometry.num_moe_layers;
  json["num_experts"] = geometry.num_experts;
  json["top_k"] = geometry.top_k;
  json["hidden_size"] = geometry.hidden_size;
  json["vocab_size"] = geometry.vocab_size;
  json["num_decoder_layers"] = geometry.num_decoder_layers;
  json["moe_layers"] = geometry.moe_layers;
  return json;
}

Geometry geometry_from_json(const JsonReader& reader) {
  const auto read = [&](const char* key, int64_t low, int64_t high) {
    return static_cast<int>(reader.integer(key, low, high));
  };
  Geometry geometry;
  geometry.num_moe_layers = read("num_moe_layers", 1, kMaxLayers);
  geometry.num_experts = read("num_experts", 1, kMaxExperts);
  geometry.top_k = read("top_k", 1, geometry.num_experts);
  geometry.hidden_size = read("hidden_size", 0, kMaxSize);
  geometry.vocab_size = read("vocab_size", 0, kMaxSize);
  geometry.num_decoder_layers = read("num_decoder_layers", 0, kMaxLayers);
  for (const int64_t layer : reader.integers("moe_layers")) {
    if (layer < 0 || layer >= kMaxLayers) reader.fail("moe_layers", "decoder layer indices");
    geometry.moe_layers.push_back(static_cast<int>(layer));
  }
  check_geometry(geometry, reader.where());
  return geometry;
}

void check_geometry(const Geometry& geometry, const std::string& where) {
  const auto require = [&](bool holds, const char* key, int64_t value, int64_t low, int64_t high) {
    if (holds) return;
    throw DataError(fmt::format("{}: '{}' is {}; expected {} to {}", where, key, value, low, high));
  };
  const auto require_range = [&](const char* key, int64_t value, int64_t low, int64_t high) {
    require(value >= low && value <= high, key, value, low, high);
  };
  require_range("num_moe_layers", geometry.num_moe_layers, 1, kMaxLayers);
  require_range("num_experts", geometry.num_experts, 1, kMaxExperts);
  require_range("top_k", geometry.top_k, 1, geometry.num_experts);
  require_range("hidden_size", geometry.hidden_size, 0, kMaxSize);
  require_range("vocab_size", geometry.vocab_size, 0, kMaxSize);
  require_range("num_decoder_layers", geometry.num_decoder_layers, 0, kMaxLayers);
  const auto listed = static_cast<int64_t>(geometry.moe_layers.size());
  if (listed != geometry.num_moe_layers) {
    throw DataError(fmt::format("{}: 'moe_layers' lists {} layers; expected num_moe_layers = {}",
                                where, listed, geometry.num_moe_layers));
  }
  const int end = geometry.num_decoder_layers > 0 ? geometry.num_decoder_layers : kMaxLayers;
  int previous = -1;
  for (const int layer : geometry.moe_layers) {
    if (layer <= previous || layer >= end) {
      throw DataError(fmt::format(
          "{}: 'moe_layers' has {} after {}; expected ascending decoder layer indices below {}",
          where, layer, previous, end));
    }
    previous = layer;
  }
}

std::string geometry_difference(const Geometry& found, const Geometry& expected) {
  const Json there = geometry_to_json(found);
  const Json wanted = geometry_to_json(expected);
  for (const auto& [key, value] : wanted.items()) {
    if (there[key] == value) continue;
    return fmt::format("{} is {}, expected {}", key, there[key].dump(), value.dump());
  }
  return "";
}

}  // namespace foregate::trace
