#pragma once

#include <torch/types.h>

#include <cstdint>

#include "nn/routed_rows.h"
#include "nn/router.h"

namespace foregate::nn {

/// See router_logits in nn/router.h: the same bits.
torch::Tensor router_logits_cuda(const torch::Tensor& x,        // [T, H]
                                 const torch::Tensor& weight);  // [E, H] float32 -> [T, E]

/// See route in nn/router.h.
Routing route_cuda(const torch::Tensor& logits,  // [T, E] float32
                   int64_t k, bool norm_topk);

/// Whether route_few_cuda takes them: few rows, whole 16 bytes.
bool has_route_few_cuda(const RowsBeforeNorm& rows, const torch::Tensor& weight, int64_t k);

/// See route_normalized in nn/routed_rows.h. One row is normalised by the way.
RoutedRows route_few_cuda(const RowsBeforeNorm& rows,
                          const torch::Tensor& weight,  // [E, H] float32
                          int64_t k, bool norm_topk,
                          const torch::Tensor& counters);  // [kRouteCounters]

}  // namespace foregate::nn
