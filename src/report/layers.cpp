#include "report/layers.h"

#include <algorithm>

namespace foregate {

int64_t decoder_layer(const Geometry& geometry, int moe_layer) {
  const auto index = static_cast<size_t>(moe_layer);
  return index < geometry.moe_layers.size() ? geometry.moe_layers[index] : moe_layer;
}

std::vector<std::string> layer_labels(const Geometry& geometry) {
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

std::vector<size_t> spread(size_t count, size_t limit) {
  limit = std::clamp<size_t>(limit, 1, std::max<size_t>(count, 1));
  std::vector<size_t> chosen;
  for (size_t i = 0; i < std::min(limit, count); ++i)
    chosen.push_back(limit == 1 ? 0 : i * (count - 1) / (limit - 1));
  return chosen;
}

}  // namespace foregate
