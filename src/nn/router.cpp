#include "nn/router.h"

#include <ATen/Parallel.h>
#include <torch/types.h>

#include <algorithm>
#include <cmath>

#include "nn/cuda/available.h"
#include "nn/cuda/router.h"
#include "nn/router_kernel.h"

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
  const RouterIsa isa = best_router_isa();
  at::parallel_for(0, tokens, kTileTokens, [&](int64_t begin, int64_t end) {
    for (int64_t first = begin; first < end; first += kTileTokens) {
      const int64_t count = std::min(kTileTokens, end - first);
      const torch::Tensor rows = x.narrow(0, first, count).to(torch::kFloat32).contiguous();
      router_logits_kernel(isa, rows.const_data_ptr<float>(), weight_rows.const_data_ptr<float>(),
                           logits.mutable_data_ptr<float>() + first * experts, count, experts,
                           hidden);
    }
  });
  return logits;
}

// Whether expert a ranks before expert b: NaN last, ties by index.
bool ranks_before(const float* logits, int64_t a, int64_t b) {
  const float x = logits[a];
  const float y = logits[b];
  if (std::isnan(x) || std::isnan(y)) return std::isnan(x) == std::isnan(y) ? a < b : std::isnan(y);
  return x != y ? x > y : a < b;
}

// The k first experts in rank order, by insertion: k is small, and most experts fail the first
// test.
void select_experts(const float* logits, int64_t experts, int64_t k, int64_t* chosen) {
  int64_t count = 0;
  for (int64_t e = 0; e < experts; ++e) {
    if (count == k && !ranks_before(logits, e, chosen[k - 1])) continue;
    int64_t place = count < k ? count++ : k - 1;
    for (; place > 0 && ranks_before(logits, e, chosen[place - 1]); --place) {
      chosen[place] = chosen[place - 1];
    }
    chosen[place] = e;
  }
}

void gate_weights_of(const float* logits, int64_t experts, const int64_t* chosen, int64_t k,
                     bool norm_topk, float* gates) {
  const float highest = logits[chosen[0]];
  float total = 0;
  for (int64_t e = 0; e < experts; ++e) total += std::exp(logits[e] - highest);
  float chosen_total = 0;
  for (int64_t i = 0; i < k; ++i) {
    gates[i] = std::exp(logits[chosen[i]] - highest) / total;
    chosen_total += gates[i];
  }
  for (int64_t i = 0; norm_topk && i < k; ++i) gates[i] /= chosen_total;
}

Routing route_cpu(const torch::Tensor& logits, int64_t k, bool norm_topk) {
  const int64_t tokens = logits.size(0);
  const int64_t experts = logits.size(1);
  const torch::Tensor rows = logits.contiguous();
  Routing routing{torch::empty({tokens, k}, logits.options().dtype(torch::kInt64)),
                  torch::empty({tokens, k}, logits.options())};
  const float* row = rows.const_data_ptr<float>();
  auto* chosen = routing.experts.mutable_data_ptr<int64_t>();
  auto* gates = routing.gate_weights.mutable_data_ptr<float>();
  at::parallel_for(0, tokens, kTileTokens, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      select_experts(row + t * experts, experts, k, chosen + t * k);
      gate_weights_of(row + t * experts, experts, chosen + t * k, k, norm_topk, gates + t * k);
    }
  });
  return routing;
}

}  // namespace

torch::Tensor router_logits(const torch::Tensor& x, const torch::Tensor& weight) {
  TORCH_CHECK(x.dim() == 2 && weight.dim() == 2 && x.size(1) == weight.size(1),
              "router_logits: x is ", x.sizes(), ", weight ", weight.sizes(),
              "; expected [T, H] and [E, H]");
  TORCH_CHECK(weight.scalar_type() == torch::kFloat32, "router_logits: weight must be float32");
  return has_cuda_kernels(x) ? router_logits_cuda(x, weight) : router_logits_cpu(x, weight);
}

Routing route(const torch::Tensor& logits, int64_t k, bool norm_topk) {
  TORCH_CHECK(logits.dim() == 2 && k >= 1 && k <= logits.size(1), "route: logits are ",
              logits.sizes(), " and k is ", k, "; expected [T, E] with 1 <= k <= E");
  TORCH_CHECK(logits.scalar_type() == torch::kFloat32, "route: logits must be float32");
  return has_cuda_kernels(logits) ? route_cuda(logits, k, norm_topk)
                                  : route_cpu(logits, k, norm_topk);
}

}  // namespace foregate::nn
