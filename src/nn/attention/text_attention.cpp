#include "nn/attention/text_attention.h"

#include <torch/types.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <tuple>

namespace foregate::nn {
namespace {

// Queries that meet their keys together where there is a window: masks stay small, and few scores
// are computed that the window hides.
constexpr int64_t kLeastChunk = 128;

struct Rows {
  torch::Tensor query, key, value;

  int64_t queries() const { return query.size(2); }
  int64_t keys() const { return key.size(2); }
};

// Which keys a query sees, where that is not all of them.
struct Visible {
  bool causal = false;                  // the first `i` of as many keys as queries, and no mask
  std::optional<torch::Tensor> mask{};  // [queries, keys] bool
};

Visible visible(const Rows& rows, int64_t window) {
  const int64_t own = rows.keys() - rows.queries();  // the key of the first query
  const bool cut = window > 0 && rows.keys() > window;
  if (rows.queries() == 1 && !cut) return {};
  if (own == 0 && !cut) return {.causal = true};
  torch::Tensor mask =
      torch::ones({rows.queries(), rows.keys()}, rows.query.options().dtype(torch::kBool))
          .tril(own);
  if (cut) mask = mask.triu(own - window + 1);
  return {.mask = mask};
}

// A sink is one more score that takes its share of the softmax and gives nothing: what the softmax
// without it gives is scaled by exp(lse) / (exp(lse) + exp(sink)) = sigmoid(lse - sink).
torch::Tensor attention_with_sinks(const Rows& rows, const Visible& seen,
                                   const std::optional<double>& scale, const torch::Tensor& sinks) {
  TORCH_CHECK(rows.query.is_cpu(), "attention with sinks runs on the CPU only");
  std::optional<torch::Tensor> mask;
  if (seen.mask) {
    mask = torch::zeros(seen.mask->sizes(), rows.query.options())
               .masked_fill_(seen.mask->logical_not(), -std::numeric_limits<double>::infinity());
  }
  auto [mixed, lse] = at::_scaled_dot_product_flash_attention_for_cpu(
      rows.query, rows.key, rows.value, /*dropout_p=*/0.0, seen.causal, mask, scale);
  const torch::Tensor share =
      (lse - sinks.view({rows.query.size(0), rows.query.size(1), 1})).sigmoid_();
  return mixed.mul_(share.to(mixed.scalar_type()).unsqueeze(-1));
}

torch::Tensor attend(const Rows& rows, const AttentionShape& shape, const LayerAttention& layer) {
  const Visible seen = visible(rows, layer.window);
  if (layer.sinks.defined()) return attention_with_sinks(rows, seen, shape.scale, layer.sinks);
  return at::scaled_dot_product_attention(rows.query, rows.key, rows.value, seen.mask,
                                          /*dropout_p=*/0.0, seen.causal, shape.scale);
}

}  // namespace

torch::Tensor text_attention(const torch::Tensor& query, const torch::Tensor& key,
                             const torch::Tensor& value, const AttentionShape& shape,
                             const LayerAttention& layer) {
  const Rows all{query, key, value};
  const int64_t chunk = std::max(layer.window, kLeastChunk);
  if (layer.window == 0 || all.keys() <= chunk) return attend(all, shape, layer);
  torch::Tensor result = torch::empty(query.sizes(), query.options());
  const int64_t own = all.keys() - all.queries();
  for (int64_t first = 0; first < all.queries(); first += chunk) {
    const int64_t count = std::min(chunk, all.queries() - first);
    const int64_t first_key = std::max<int64_t>(0, own + first - layer.window + 1);
    const int64_t keys = own + first + count - first_key;
    result.narrow(2, first, count)
        .copy_(attend({query.narrow(2, first, count), key.narrow(2, first_key, keys),
                       value.narrow(2, first_key, keys)},
                      shape, layer));
  }
  return result;
}

}  // namespace foregate::nn
