#include "nn/router.h"

#include <ATen/Parallel.h>
#include <torch/types.h>

#include <algorithm>

#include "nn/cuda/available.h"
#include "nn/cuda/router.h"
#include "nn/router_decision.h"
#include "trace/router_kernel.h"

namespace foregate::nn {
namespace {

// Tokens whose float32 rows are made at once: with H of 2048 they take 256 KB, a part of the L2
// cache.
constexpr int64_t kTileTokens = 32;

torch::Tensor router_logits_cpu(const torch::Tensor& x, const torch::Tensor& weight) {
  const int64_t tokens = x.size(0);
  const int64_t experts = weight.size(0);
  const int64_t hidden = x.size(1);
  const torch::Tensor weight_rows = weight.contiguous();
  torch::Tensor logits = torch::empty({tokens, experts}, weight.options());
  const trace::RouterIsa isa = trace::best_router_isa();
  at::parallel_for(0, tokens, kTileTokens, [&](int64_t begin, int64_t end) {
    for (int64_t first = begin; first < end; first += kTileTokens) {
      const int64_t count = std::min(kTileTokens, end - first);
      const torch::Tensor rows = x.narrow(0, first, count).to(torch::kFloat32).contiguous();
      trace::router_logits_kernel(
          isa, rows.const_data_ptr<float>(), weight_rows.const_data_ptr<float>(),
          logits.mutable_data_ptr<float>() + first * experts, count, experts, hidden);
    }
  });
  return logits;
}

void check_biases(const RouterBiases& biases, int64_t experts) {
  for (const torch::Tensor& bias : {biases.logit, biases.choice}) {
    if (!bias.defined()) continue;
    TORCH_CHECK(bias.dim() == 1 && bias.size(0) == experts && bias.scalar_type() == torch::kFloat32,
                "route: a bias is ", bias.scalar_type(), " ", bias.sizes(), "; expected float32 [",
                experts, "]");
  }
}

}  // namespace

bool routes_on_gpu(const RouterSpec& spec, const RouterBiases& biases) {
  return spec.score == RouterSpec::Score::kSoftmax && spec.epsilon == 0 && spec.min_sum == 0 &&
         spec.scale == 1 && spec.top_groups == spec.groups && !biases.logit.defined() &&
         !biases.choice.defined();
}

torch::Tensor router_logits(const torch::Tensor& x, const torch::Tensor& weight) {
  TORCH_CHECK(x.dim() == 2 && weight.dim() == 2 && x.size(1) == weight.size(1),
              "router_logits: x is ", x.sizes(), ", weight ", weight.sizes(),
              "; expected [T, H] and [E, H]");
  TORCH_CHECK(weight.scalar_type() == torch::kFloat32, "router_logits: weight must be float32");
  return has_cuda_kernels(x) ? router_logits_cuda(x, weight) : router_logits_cpu(x, weight);
}

Routing route(const torch::Tensor& logits, const RouterSpec& spec, const RouterBiases& biases,
              int64_t k) {
  TORCH_CHECK(logits.dim() == 2 && k >= 1 && k <= logits.size(1), "route: logits are ",
              logits.sizes(), " and k is ", k, "; expected [T, E] with 1 <= k <= E");
  TORCH_CHECK(logits.scalar_type() == torch::kFloat32, "route: logits must be float32");
  check_biases(biases, logits.size(1));
  trace::check_router_spec(spec, logits.size(1), k, "route");
  if (has_cuda_kernels(logits) && routes_on_gpu(spec, biases)) {
    return route_cuda(logits, k, spec.norm_topk);
  }
  const auto host = [](const torch::Tensor& tensor) {
    return tensor.defined() ? tensor.cpu() : tensor;
  };
  const Routing routing =
      route_cpu(host(logits), spec, {host(biases.logit), host(biases.choice)}, k);
  return {routing.experts.to(logits.device()), routing.gate_weights.to(logits.device())};
}

}  // namespace foregate::nn
