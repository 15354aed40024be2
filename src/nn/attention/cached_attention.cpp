#include "nn/attention/cached_attention.h"

#include <torch/types.h>

#include <vector>

#include "nn/attention/page_storage.h"
#include "nn/attention/text_attention.h"
#include "nn/cuda/paged_attention.h"

namespace foregate::nn {
namespace {

// One sequence by a library's attention, its keys and values gathered from their pages.
torch::Tensor attend_gathered(const torch::Tensor& query,  // [count, heads * D]
                              const PagedStep& step, int64_t sequence, const AttentionShape& shape,
                              const LayerAttention& layer,
                              const PagedKv& cache) {  // -> [count, heads * D]
  const int64_t count = query.size(0);
  const int64_t group = shape.num_heads / shape.num_kv_heads;
  const auto gather = [&](const PagedRows& paged) {
    return gather_rows(paged, step, sequence, query.scalar_type())
        .permute({1, 0, 2})
        .unsqueeze(1)
        .expand({-1, group, -1, -1});  // [kv heads, group, length, D]
  };
  const torch::Tensor mixed = text_attention(
      query.view({count, shape.num_kv_heads, group, shape.head_dim}).permute({1, 2, 0, 3}),
      gather(cache.key_rows()), gather(cache.value_rows()), shape, layer);
  return mixed.permute({2, 0, 1, 3}).reshape({count, shape.num_heads * shape.head_dim});
}

void check_cache(const torch::Tensor& qkv, const AttentionShape& shape, const PagedKv& cache) {
  TORCH_CHECK(qkv.dim() == 2 && qkv.is_contiguous() && qkv.size(1) == shape.qkv_size(),
              "cached_attention: qkv is ", qkv.sizes(), "; expected [T, ", shape.qkv_size(), "]");
  for (const PagedRows& paged : {cache.key_rows(), cache.value_rows()}) {
    check_pages(paged, shape.num_kv_heads, shape.head_dim, qkv.scalar_type());
  }
}

// The step's rows with keys and values as the cache has them.
torch::Tensor as_stored(const torch::Tensor& qkv, const PagedStep& step, const PagedKv& cache) {
  if (!cache.is_quantized()) return qkv;
  const torch::Tensor keys = stored_rows(cache.key_rows(), step, qkv.scalar_type());
  const torch::Tensor values = stored_rows(cache.value_rows(), step, qkv.scalar_type());
  const int64_t query_size = qkv.size(1) - keys.size(1) - values.size(1);
  return at::cat({qkv.narrow(1, 0, query_size), keys, values}, 1);
}

bool all_have_past(const PagedStep& step) {
  for (int64_t s = 0; s < step.sequences(); ++s) {
    if (step.count(s) > 0 && step.past(s) == 0) return false;
  }
  return true;
}

}  // namespace

torch::Tensor cached_attention(const torch::Tensor& qkv, const PackedTexts& texts,
                               const SequencePages& where, const AttentionShape& shape,
                               PagedKv& cache, const LayerAttention& layer) {
  const PagedStep step{texts, where};
  check_cache(qkv, shape, cache);
  step.check(qkv.size(0), cache.keys);
  const int64_t query_size = shape.num_heads * shape.head_dim;
  const int64_t key_size = shape.num_kv_heads * shape.head_dim;
  if (qkv.size(0) == 0) return torch::empty({0, query_size}, qkv.options());
  const bool has_kernel = !cache.is_quantized() && has_paged_attention_cuda(qkv, shape);
  if (has_kernel && step.one_each()) {
    torch::Tensor result = torch::empty({qkv.size(0), query_size}, qkv.options());
    attend_step_cuda(qkv, where, shape, cache, layer, result);
    return result;
  }
  store_rows(cache.key_rows(), qkv.narrow(1, query_size, key_size), step);
  store_rows(cache.value_rows(), qkv.narrow(1, query_size + key_size, key_size), step);
  const torch::Tensor stored = all_have_past(step) ? qkv : as_stored(qkv, step, cache);
  if (!step.any_past()) return attention(stored, texts, shape, layer);

  torch::Tensor result = torch::empty({qkv.size(0), query_size}, qkv.options());
  const torch::Tensor query = qkv.narrow(1, 0, query_size);
  std::vector<int64_t> few;
  for (int64_t s = 0; s < step.sequences(); ++s) {
    const int64_t first = step.first(s);
    const int64_t count = step.count(s);
    if (count == 0) continue;
    if (step.past(s) == 0) {
      const std::vector<int32_t> alone = {0, static_cast<int32_t>(count)};
      result.narrow(0, first, count)
          .copy_(attention(stored.narrow(0, first, count), {alone, qkv.device()}, shape, layer));
    } else if ((qkv.is_cpu() || has_kernel) && count < kLibraryTokens) {
      few.push_back(s);
    } else {
      result.narrow(0, first, count)
          .copy_(attend_gathered(query.narrow(0, first, count), step, s, shape, layer, cache));
    }
  }
  if (few.empty()) return result;
  if (has_kernel) {
    attend_paged_cuda(qkv, step, few, shape, cache, layer, result);
    return result;
  }
  const auto heads = [&](const torch::Tensor& rows) {
    return rows.view({rows.size(0), shape.num_heads, shape.head_dim});
  };
  attend_paged(heads(query), cache.key_rows(), cache.value_rows(), step, few, shape.score_scale(),
               heads(result), layer);
  return result;
}

}  // namespace foregate::nn
