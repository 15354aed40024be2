#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "report/charts/line_chart.h"
#include "trace/trace.h"

namespace foregate::report {

/// A MoE layer as the report names it: by its place among the decoder layers if that is known.
int64_t decoder_layer(const trace::Geometry& geometry, int moe_layer);
std::vector<std::string> layer_labels(const trace::Geometry& geometry);
/// "0", "1", ...
std::vector<std::string> index_labels(int count);

/// A number a layer and column, summed up as lines: the mean over the layers, and the layers whose
/// own mean is highest and lowest. One layer is one line. NaN is passed over.
std::vector<Series> layer_lines(const trace::Geometry& geometry, size_t columns,
                                const std::function<double(int layer, size_t column)>& value);
/// Mean over the layers of a number a layer; NaN is passed over, NaN if there is no other.
double layer_mean(const trace::Geometry& geometry, const std::function<double(int layer)>& value);

/// At most `limit` of the indices [0, count), evenly spread, first and last among them.
std::vector<size_t> spread(size_t count, size_t limit);

}  // namespace foregate::report
