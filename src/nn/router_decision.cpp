#include "nn/router_decision.h"

#include <ATen/Parallel.h>
#include <torch/types.h>

#include "trace/router_decision.h"

namespace foregate::nn {
namespace {

constexpr int64_t kDecisionsAtOnce = 32;

std::span<const float> values_of(const torch::Tensor& bias) {
  if (!bias.defined()) return {};
  return {bias.const_data_ptr<float>(), static_cast<size_t>(bias.numel())};
}

}  // namespace

Routing route_cpu(const torch::Tensor& logits, const RouterSpec& spec, const RouterBiases& biases,
                  int64_t k) {
  const int64_t tokens = logits.size(0);
  const int64_t experts = logits.size(1);
  const torch::Tensor rows = logits.contiguous();
  const auto contiguous = [](const torch::Tensor& bias) {
    return bias.defined() ? bias.contiguous() : bias;
  };
  const RouterBiases added{contiguous(biases.logit), contiguous(biases.choice)};
  Routing routing{torch::empty({tokens, k}, logits.options().dtype(torch::kInt64)),
                  torch::empty({tokens, k}, logits.options())};
  const float* row = rows.const_data_ptr<float>();
  auto* chosen = routing.experts.mutable_data_ptr<int64_t>();
  auto* gates = routing.gate_weights.mutable_data_ptr<float>();
  at::parallel_for(0, tokens, kDecisionsAtOnce, [&](int64_t begin, int64_t end) {
    trace::RouterDecision decision(spec, {values_of(added.logit), values_of(added.choice)}, experts,
                                   k);
    for (int64_t t = begin; t < end; ++t) {
      decision.decide(row + t * experts, chosen + t * k, gates + t * k);
    }
  });
  return routing;
}

}  // namespace foregate::nn
