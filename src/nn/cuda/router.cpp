#include "nn/cuda/router.h"

#include <torch/types.h>

#include "kernels/routing/routing.h"
#include "nn/cuda/launch.h"

namespace foregate::nn {

torch::Tensor router_logits_cuda(const torch::Tensor& x, const torch::Tensor& weight) {
  const torch::Tensor rows = x.contiguous();
  const torch::Tensor weight_rows = weight.contiguous();
  torch::Tensor logits = torch::empty({x.size(0), weight.size(0)}, weight.options());
  on_stream_of(x, [&](cudaStream_t stream) {
    return kernels::router_logits(rows.const_data_ptr(), weight_rows.const_data_ptr<float>(),
                                  logits.mutable_data_ptr<float>(), x.size(0), weight.size(0),
                                  x.size(1), kernel_dtype(x), stream);
  });
  return logits;
}

Routing route_cuda(const torch::Tensor& logits, int64_t k, bool norm_topk) {
  const torch::Tensor rows = logits.contiguous();
  Routing routing{torch::empty({rows.size(0), k}, rows.options().dtype(torch::kInt64)),
                  torch::empty({rows.size(0), k}, rows.options())};
  on_stream_of(rows, [&](cudaStream_t stream) {
    return kernels::softmax_topk(rows.const_data_ptr<float>(),
                                 routing.experts.mutable_data_ptr<int64_t>(),
                                 routing.gate_weights.mutable_data_ptr<float>(), rows.size(0),
                                 rows.size(1), k, norm_topk, stream);
  });
  return routing;
}

}  // namespace foregate::nn
