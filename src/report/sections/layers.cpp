#include "report/sections/layers.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace foregate::report {

int64_t decoder_layer(const trace::Geometry& geometry, int moe_layer) {
  const auto index = static_cast<size_t>(moe_layer);
  return index < geometry.moe_layers.size() ? geometry.moe_layers[index] : moe_layer;
}

std::vector<std::string> layer_labels(const trace::Geometry& geometry) {
  std::vector<std::string> labels;
  for (int layer = 0; layer < geometry.num_moe_layers; ++layer)
    labels.push_back(std::to_string(decoder_layer(geometry, layer)));
  return labels;
}

std::vector<std::string> index_labels(int count) {
  std::vector<std::string> labels;
  for (int i = 0; i < count; ++i) labels.push_back(std::to_string(i));
  return labels;
}

double layer_mean(const trace::Geometry& geometry, const std::function<double(int layer)>& value) {
  double sum = 0;
  int count = 0;
  for (int layer = 0; layer < geometry.num_moe_layers; ++layer) {
    const double here = value(layer);
    if (std::isnan(here)) continue;
    sum += here;
    ++count;
  }
  return count == 0 ? std::numeric_limits<double>::quiet_NaN() : sum / count;
}

std::vector<Series> layer_lines(const trace::Geometry& geometry, size_t columns,
                                const std::function<double(int layer, size_t column)>& value) {
  const auto line = [&](const std::string& name, int layer) {
    Series series{name, {}};
    for (size_t column = 0; column < columns; ++column)
      series.values.push_back(value(layer, column));
    return series;
  };
  const auto layer_name = [&](int layer) {
    return fmt::format("layer {}", decoder_layer(geometry, layer));
  };
  if (geometry.num_moe_layers == 1) return {line(layer_name(0), 0)};
  Series mean{"mean of all layers", {}};
  for (size_t column = 0; column < columns; ++column)
    mean.values.push_back(layer_mean(geometry, [&](int layer) { return value(layer, column); }));
  int highest = 0;
  int lowest = 0;
  std::vector<double> sums;
  for (int layer = 0; layer < geometry.num_moe_layers; ++layer) {
    double sum = 0;
    for (size_t column = 0; column < columns; ++column) {
      const double here = value(layer, column);
      sum += std::isnan(here) ? 0 : here;
    }
    sums.push_back(sum);
    if (sum > sums[static_cast<size_t>(highest)]) highest = layer;
    if (sum < sums[static_cast<size_t>(lowest)]) lowest = layer;
  }
  return {mean, line(layer_name(highest) + " (highest)", highest),
          line(layer_name(lowest) + " (lowest)", lowest)};
}

std::vector<size_t> spread(size_t count, size_t limit) {
  limit = std::clamp<size_t>(limit, 1, std::max<size_t>(count, 1));
  std::vector<size_t> chosen;
  for (size_t i = 0; i < std::min(limit, count); ++i)
    chosen.push_back(limit == 1 ? 0 : i * (count - 1) / (limit - 1));
  return chosen;
}

}  // namespace foregate::report
