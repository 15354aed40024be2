#include "nn/routed_rows.h"

#include <torch/types.h>

#include "nn/cuda/router.h"

namespace foregate::nn {

RoutedRows route_normalized(const RowsBeforeNorm& rows, const torch::Tensor& weight,
                            const RouterSpec& spec, const RouterBiases& biases, int64_t k,
                            const torch::Tensor& counters) {
  if (counters.defined() && routes_on_gpu(spec, biases) && has_route_few_cuda(rows, weight, k)) {
    return route_few_cuda(rows, weight, k, spec.norm_topk, counters);
  }
  const torch::Tensor input = rms_norm(rows.rows, rows.weight, rows.epsilon);
  const torch::Tensor logits = router_logits(input, weight);
  return {input, logits, route(logits, spec, biases, k)};
}

}  // namespace foregate::nn
