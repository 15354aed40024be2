#include "nn/attention/latent_attention.h"

#include <torch/types.h>

#include <algorithm>
#include <vector>

#include "nn/attention/page_storage.h"
#include "nn/linear.h"
#include "nn/rms_norm.h"

namespace foregate::nn {
namespace {

// The last dimension filled up with zeros.
torch::Tensor padded(const torch::Tensor& heads, int64_t width) {
  const int64_t missing = width - heads.size(-1);
  return missing == 0 ? heads : at::constant_pad_nd(heads, {0, missing});
}

// Keys and values of all heads, each as wide as the wider of the two: a library's attention wants
// them alike. Zeros change neither scores nor what is mixed.
struct Expanded {
  torch::Tensor keys;    ///< [T, heads, width]
  torch::Tensor values;  ///< [T, heads, width]
};

Expanded expand_latents(const torch::Tensor& latent,  // [T, kv_rank + rope]
                        const torch::Tensor& expand, const LatentShape& shape) {
  const int64_t tokens = latent.size(0);
  const int64_t width = shape.expanded().head_dim;
  const torch::Tensor both =
      at::linear(latent.narrow(1, 0, shape.kv_rank), expand).view({tokens, shape.num_heads, -1});
  const torch::Tensor shared = latent.narrow(1, shape.kv_rank, shape.rope_dim)
                                   .unsqueeze(1)
                                   .expand({tokens, shape.num_heads, shape.rope_dim});
  const torch::Tensor keys = at::cat({both.narrow(2, 0, shape.nope_dim), shared}, 2);
  return {padded(keys, width), padded(both.narrow(2, shape.nope_dim, shape.value_dim), width)};
}

torch::Tensor query_heads(const torch::Tensor& query, const LatentShape& shape) {
  return query.view({query.size(0), shape.num_heads, shape.head_dim()});
}

torch::Tensor attend_expanded(const torch::Tensor& query, const torch::Tensor& latent,
                              const PackedTexts& texts, const torch::Tensor& expand,
                              const LatentShape& shape) {
  const AttentionShape heads = shape.expanded();
  const int64_t tokens = query.size(0);
  torch::Tensor qkv;
  {
    const Expanded expanded = expand_latents(latent, expand, shape);
    qkv =
        at::cat({padded(query_heads(query, shape), heads.head_dim), expanded.keys, expanded.values},
                1)
            .view({tokens, heads.qkv_size()});
  }
  return attention(qkv, texts, heads)
      .view({tokens, shape.num_heads, heads.head_dim})
      .narrow(2, 0, shape.value_dim)
      .reshape({tokens, shape.mixed_size()});
}

// A sequence's keys and values gathered from their pages and expanded.
torch::Tensor attend_gathered_latents(const torch::Tensor& query, const PagedStep& step,
                                      int64_t sequence, const torch::Tensor& expand,
                                      const LatentShape& shape, const PagedKv& cache) {
  const int64_t count = query.size(0);
  const int64_t width = shape.expanded().head_dim;
  const torch::Tensor latent =
      gather_rows(cache.key_rows(), step, sequence, query.scalar_type()).squeeze(1);
  const Expanded expanded = expand_latents(latent, expand, shape);
  const auto heads_first = [](const torch::Tensor& rows) {
    return rows.permute({1, 0, 2}).unsqueeze(0);
  };
  const torch::Tensor mixed = at::scaled_dot_product_attention(
      heads_first(padded(query_heads(query, shape), width)), heads_first(expanded.keys),
      heads_first(expanded.values), causal_mask(count, latent.size(0), query.device()),
      /*dropout_p=*/0.0, /*is_causal=*/false, shape.scale);
  return mixed.squeeze(0)
      .narrow(2, 0, shape.value_dim)
      .permute({1, 0, 2})
      .reshape({count, shape.mixed_size()});
}

// The same by queries in the latents' space: q (W k) is (q W) k, and all heads share the rows.
class Absorbed {
 public:
  Absorbed(const torch::Tensor& expand, const LatentShape& shape) : shape_(shape) {
    const torch::Tensor heads = expand.view({shape.num_heads, -1, shape.kv_rank});
    keys_ = heads.narrow(1, 0, shape.nope_dim);
    values_ = heads.narrow(1, shape.nope_dim, shape.value_dim);
  }

  torch::Tensor queries(const torch::Tensor& query) const {  // -> [T, heads, kv_rank + rope]
    const torch::Tensor heads = query_heads(query, shape_);
    const torch::Tensor latent =
        at::bmm(heads.narrow(2, 0, shape_.nope_dim).transpose(0, 1), keys_);
    return at::cat({latent.transpose(0, 1), heads.narrow(2, shape_.nope_dim, shape_.rope_dim)}, 2);
  }

  torch::Tensor mixed(const torch::Tensor& latents) const {  // [T, heads, kv_rank]
    return at::bmm(latents.transpose(0, 1), values_.transpose(1, 2))
        .transpose(0, 1)
        .reshape({latents.size(0), shape_.mixed_size()});
  }

 private:
  const LatentShape& shape_;
  torch::Tensor keys_;    ///< [heads, nope, kv_rank]
  torch::Tensor values_;  ///< [heads, value, kv_rank]
};

// Sequences that grow by a few tokens; their rows of `result` are written.
void attend_few(const torch::Tensor& query, const PagedStep& step,
                const std::vector<int64_t>& sequences, const torch::Tensor& expand,
                const LatentShape& shape, const PagedKv& cache, const torch::Tensor& result) {
  const Absorbed absorbed(expand, shape);
  const torch::Tensor queries = absorbed.queries(query);
  torch::Tensor latents =
      torch::empty({query.size(0), shape.num_heads, shape.kv_rank}, query.options());
  if (query.is_cpu()) {
    attend_paged(queries, cache.key_rows(),
                 {cache.keys.narrow(3, 0, shape.kv_rank), cache.key_scales}, step, sequences,
                 shape.scale, latents);
  }
  for (const int64_t s : sequences) {
    const int64_t first = step.first(s);
    const int64_t count = step.count(s);
    torch::Tensor own = latents.narrow(0, first, count);
    if (!query.is_cpu()) {
      const torch::Tensor keys = gather_rows(cache.key_rows(), step, s, query.scalar_type())
                                     .permute({1, 0, 2})
                                     .unsqueeze(0)
                                     .expand({1, shape.num_heads, -1, -1});
      own.copy_(at::scaled_dot_product_attention(
                    queries.narrow(0, first, count).permute({1, 0, 2}).unsqueeze(0), keys,
                    keys.narrow(3, 0, shape.kv_rank),
                    causal_mask(count, step.where.lengths[s], query.device()),
                    /*dropout_p=*/0.0, /*is_causal=*/false, shape.scale)
                    .squeeze(0)
                    .permute({1, 0, 2}));
    }
    result.narrow(0, first, count).copy_(absorbed.mixed(own));
  }
}

void check_rows(const LatentRows& rows, const LatentShape& shape) {
  TORCH_CHECK(
      rows.query.dim() == 2 && rows.query.size(1) == shape.query_size() && rows.latent.dim() == 2 &&
          rows.latent.size(1) == shape.latent_size() && rows.latent.size(0) == rows.query.size(0) &&
          rows.latent.is_contiguous() && rows.query.is_contiguous(),
      "latent_attention: queries are ", rows.query.sizes(), ", latent rows ", rows.latent.sizes(),
      "; expected [T, ", shape.query_size(), "] and [T, ", shape.latent_size(), "]");
}

}  // namespace

AttentionShape LatentShape::expanded() const {
  return {num_heads, num_heads, std::max(head_dim(), value_dim), scale};
}

LatentRows rotated_latents(const torch::Tensor& x, const LatentWeights& weights,
                           const LatentShape& shape, Rope& rope, const torch::Tensor& positions,
                           int64_t max_position) {
  TORCH_CHECK(x.dim() == 2 && positions.dim() == 1 && positions.size(0) == x.size(0),
              "latents: x is ", x.sizes(), ", positions ", positions.sizes(),
              "; expected [T, H] and [T]");
  torch::Tensor query_input = x;
  if (weights.query_norm.defined()) {
    query_input = rms_norm(linear(x, weights.query_down), weights.query_norm, weights.epsilon);
  }
  LatentRows rows{linear(query_input, weights.query), linear(x, weights.latent)};
  check_rows(rows, shape);
  torch::Tensor compressed = rows.latent.narrow(1, 0, shape.kv_rank);
  compressed.copy_(rms_norm(compressed.contiguous(), weights.latent_norm, weights.epsilon));
  rope.apply(query_heads(rows.query, shape).narrow(2, shape.nope_dim, shape.rope_dim), positions,
             max_position);
  rope.apply(rows.latent.unsqueeze(1).narrow(2, shape.kv_rank, shape.rope_dim), positions,
             max_position);
  return rows;
}

torch::Tensor latent_attention(const LatentRows& rows, const PackedTexts& texts,
                               const tensor::Weight& expand, const LatentShape& shape) {
  check_rows(rows, shape);
  return attend_expanded(rows.query, rows.latent, texts,
                         compute_weight(expand, rows.query.scalar_type()), shape);
}

torch::Tensor cached_latent_attention(const LatentRows& rows, const PackedTexts& texts,
                                      const SequencePages& where, const tensor::Weight& expand,
                                      const LatentShape& shape, PagedKv& cache) {
  const PagedStep step{texts, where};
  check_rows(rows, shape);
  check_pages(cache.key_rows(), 1, shape.latent_size(), rows.latent.scalar_type());
  step.check(rows.latent.size(0), cache.keys);
  torch::Tensor result =
      torch::empty({rows.query.size(0), shape.mixed_size()}, rows.query.options());
  if (result.size(0) == 0) return result;
  store_rows(cache.key_rows(), rows.latent, step);
  const torch::Tensor weight = compute_weight(expand, rows.query.scalar_type());
  const torch::Tensor latent = cache.is_quantized()
                                   ? stored_rows(cache.key_rows(), step, rows.latent.scalar_type())
                                   : rows.latent;
  if (!step.any_past()) return attend_expanded(rows.query, latent, texts, weight, shape);

  std::vector<int64_t> few;
  for (int64_t s = 0; s < step.sequences(); ++s) {
    const int64_t first = step.first(s);
    const int64_t count = step.count(s);
    if (count == 0) continue;
    const torch::Tensor query = rows.query.narrow(0, first, count);
    if (step.past(s) == 0) {
      const std::vector<int32_t> alone = {0, static_cast<int32_t>(count)};
      result.narrow(0, first, count)
          .copy_(attend_expanded(query, latent.narrow(0, first, count), {alone, query.device()},
                                 weight, shape));
    } else if (count < kLibraryTokens) {
      few.push_back(s);
    } else {
      result.narrow(0, first, count)
          .copy_(attend_gathered_latents(query, step, s, weight, shape, cache));
    }
  }
  if (!few.empty()) attend_few(rows.query, step, few, weight, shape, cache, result);
  return result;
}

}  // namespace foregate::nn
