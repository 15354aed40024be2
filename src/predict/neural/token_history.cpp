#include "predict/neural/token_history.h"

#include <torch/types.h>

#include <vector>

namespace foregate::predict {

TokenHistory history_of(const TokenRows& rows, const torch::Tensor& tokens,
                        const trace::Geometry& geometry) {
  const int64_t none = geometry.vocab_size;
  const int64_t size = tokens.size(0);
  const int64_t layers = rows.experts.size(1);
  const int64_t width = geometry.num_experts;
  const torch::Tensor places = rows.places.index_select(0, tokens);
  std::vector<torch::Tensor> ids = {rows.ids.index_select(0, tokens).clamp_max(none)};
  torch::Tensor chosen = torch::zeros({layers, size, scoring::kTokensBefore * width},
                                      rows.experts.options().dtype(torch::kFloat32));
  for (int64_t back = 1; back <= scoring::kTokensBefore; ++back) {
    const torch::Tensor there = places.ge(back);
    const torch::Tensor before = (tokens - back).clamp_min(0);
    const torch::Tensor id = rows.ids.index_select(0, before).clamp_max(none);
    ids.push_back(torch::where(there, id, torch::full_like(id, none)));
    const torch::Tensor experts =
        rows.experts.index_select(0, before).to(torch::kInt64).transpose(0, 1);  // [L', n, k]
    const torch::Tensor ones = there.to(torch::kFloat32).view({1, size, 1}).expand(experts.sizes());
    chosen.slice(2, (back - 1) * width, back * width).scatter_(2, experts, ones);
  }
  return {torch::stack(ids, 1), chosen};
}

}  // namespace foregate::predict
