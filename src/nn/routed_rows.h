#pragma once

#include <torch/types.h>

#include "nn/rms_norm.h"
#include "nn/router.h"

namespace foregate::nn {

/// What a router makes of a layer's rows.
struct RoutedRows {
  torch::Tensor input;   ///< [T, H]: the rows, normalised
  torch::Tensor logits;  ///< [T, E] float32
  Routing routing;
  /// What `input` was made from, where that and the decision were a single launch; else undefined.
  RowsBeforeNorm before{};
};

/// How many counters route_normalized() wants: int32, zeros, on the rows' device, for as long as
/// anything routed with them is in use.
inline constexpr int64_t kRouteCounters = 4;

/// rms_norm(), router_logits() and route() behind each other, with their results; of few rows on a
/// GPU in one or two launches.
RoutedRows route_normalized(const RowsBeforeNorm& rows,
                            const torch::Tensor& weight,  // [E, H] float32
                            const RouterSpec& spec, const RouterBiases& biases, int64_t k,
                            const torch::Tensor& counters);  // [kRouteCounters], or undefined

}  // namespace foregate::nn
