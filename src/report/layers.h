#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "trace/trace.h"

namespace foregate {

/// A MoE layer as the report names it: by its place among the decoder layers if that is known.
int64_t decoder_layer(const Geometry& geometry, int moe_layer);
std::vector<std::string> layer_labels(const Geometry& geometry);
/// "0", "1", ...
std::vector<std::string> index_labels(int count);

/// At most `limit` of the indices [0, count), evenly spread, first and last among them.
std::vector<size_t> spread(size_t count, size_t limit);

}  // namespace foregate
