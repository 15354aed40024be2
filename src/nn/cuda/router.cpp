#include "nn/cuda/router.h"

#include <torch/types.h>

#include "kernels/routing/routing.h"
#include "nn/cuda/launch.h"
#include "nn/cuda/norm.h"

namespace foregate::nn {
namespace {

static_assert(kRouteCounters == kernels::kRouteGroups);

// Whether the kernel normalises them itself.
bool normalizes(const torch::Tensor& rows) {
  return rows.size(0) == 1 && rows.size(1) <= kernels::kMostRouteNorm;
}

kernels::Route route_of(const RowsBeforeNorm& rows, const torch::Tensor& weight, int64_t k) {
  kernels::Route route{.x = rows.rows.const_data_ptr(),
                       .weight = weight.const_data_ptr<float>(),
                       .tokens = rows.rows.size(0),
                       .experts = weight.size(0),
                       .hidden = weight.size(1),
                       .top_k = k};
  if (normalizes(rows.rows)) {
    route.norm_weight = rows.weight.const_data_ptr();
    route.epsilon = static_cast<float>(rows.epsilon);
  }
  return route;
}

}  // namespace

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

bool has_route_few_cuda(const RowsBeforeNorm& rows, const torch::Tensor& weight, int64_t k) {
  return rows.rows.is_cuda() && rows.rows.is_contiguous() && weight.is_contiguous() &&
         rows.weight.is_contiguous() && rows.rows.size(0) > 0 &&
         kernels::can_route_few(route_of(rows, weight, k), kernel_dtype(rows.rows));
}

RoutedRows route_few_cuda(const RowsBeforeNorm& rows, const torch::Tensor& weight, int64_t k,
                          bool norm_topk, const torch::Tensor& counters) {
  const int64_t tokens = rows.rows.size(0);
  kernels::Route route = route_of(rows, weight, k);
  RoutedRows routed{.input = torch::empty_like(rows.rows),
                    .logits = torch::empty({tokens, weight.size(0)}, weight.options()),
                    .routing = {torch::empty({tokens, k}, weight.options().dtype(torch::kInt64)),
                                torch::empty({tokens, k}, weight.options())}};
  if (route.norm_weight != nullptr) {
    routed.before = rows;
    route.normalized = routed.input.mutable_data_ptr();
  } else {
    routed.input = rms_norm_cuda(rows.rows, rows.weight, rows.epsilon);
    route.x = routed.input.const_data_ptr();
  }
  route.logits = routed.logits.mutable_data_ptr<float>();
  route.chosen = routed.routing.experts.mutable_data_ptr<int64_t>();
  route.gate_weights = routed.routing.gate_weights.mutable_data_ptr<float>();
  route.arrived = counters.mutable_data_ptr<int32_t>();
  route.norm_topk = norm_topk;
  on_stream_of(rows.rows, [&](cudaStream_t stream) {
    return kernels::route_few(route, kernel_dtype(rows.rows), stream);
  });
  return routed;
}

}  // namespace foregate::nn
