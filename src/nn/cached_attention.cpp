#include "nn/cached_attention.h"

#include <ATen/Parallel.h>
#include <torch/types.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>
#include <vector>

namespace foregate::nn {
namespace {

constexpr int64_t kDotLanes = 16;

// Several partial sums, so that the compiler may use vector registers.
template <typename Scalar>
float dot(const float* query, const Scalar* key, int64_t size) {
  std::array<float, kDotLanes> sum{};
  const int64_t whole = size / kDotLanes * kDotLanes;
  for (int64_t d = 0; d < whole; d += kDotLanes) {
    for (int64_t i = 0; i < kDotLanes; ++i) {
      sum[i] += query[d + i] * static_cast<float>(key[d + i]);
    }
  }
  for (int64_t d = whole; d < size; ++d) sum[d - whole] += query[d] * static_cast<float>(key[d]);
  float total = 0;
  for (const float lane : sum) total += lane;
  return total;
}

// exp(scores - largest), normalised.
void softmax_in_place(float* scores, int64_t count) {
  const float largest = *std::max_element(scores, scores + count);
  float sum = 0;
  for (int64_t i = 0; i < count; ++i) {
    scores[i] = std::exp(scores[i] - largest);
    sum += scores[i];
  }
  for (int64_t i = 0; i < count; ++i) scores[i] /= sum;
}

// Rows of one key-value head of one sequence.
template <typename Scalar>
struct HeadRows {
  const Scalar* first;   // row 0 of page 0
  const int32_t* pages;  // of the sequence
  int64_t page_tokens;   // P
  int64_t row_stride;    // between two tokens of a page

  const Scalar* page(int64_t index) const {
    return first + static_cast<int64_t>(pages[index]) * page_tokens * row_stride;
  }
  // work(token, its row), for the first `count` tokens, page by page.
  template <typename Work>
  void for_each(int64_t count, const Work& work) const {
    for (int64_t token = 0, index = 0; token < count; ++index) {
      const Scalar* row = page(index);
      const int64_t end = std::min(count, token + page_tokens);
      for (; token < end; ++token, row += row_stride) work(token, row);
    }
  }
};

// Scratch of one thread.
struct HeadScratch {
  std::vector<float> query, scores, mixed;
};

// The queries of one token that share a key-value head, over the first `length` rows. Keys and
// values are read once for all of them.
template <typename Scalar>
void attend_group(const Scalar* query, const HeadRows<Scalar>& keys, const HeadRows<Scalar>& values,
                  int64_t length, int64_t group, int64_t head_dim, HeadScratch& scratch,
                  Scalar* result) {
  const float scale = 1.0F / std::sqrt(static_cast<float>(head_dim));
  scratch.query.resize(group * head_dim);
  scratch.scores.resize(group * length);
  scratch.mixed.assign(group * head_dim, 0.0F);
  for (int64_t i = 0; i < group * head_dim; ++i) {
    scratch.query[i] = scale * static_cast<float>(query[i]);
  }
  keys.for_each(length, [&](int64_t token, const Scalar* row) {
    for (int64_t g = 0; g < group; ++g) {
      scratch.scores[g * length + token] = dot(&scratch.query[g * head_dim], row, head_dim);
    }
  });
  for (int64_t g = 0; g < group; ++g) softmax_in_place(&scratch.scores[g * length], length);
  values.for_each(length, [&](int64_t token, const Scalar* row) {
    for (int64_t g = 0; g < group; ++g) {
      const float weight = scratch.scores[g * length + token];
      float* mixed = &scratch.mixed[g * head_dim];
      for (int64_t d = 0; d < head_dim; ++d) mixed[d] += weight * static_cast<float>(row[d]);
    }
  });
  for (int64_t i = 0; i < group * head_dim; ++i) result[i] = static_cast<Scalar>(scratch.mixed[i]);
}

struct PagedProblem {
  const torch::Tensor& qkv;
  const PackedTexts& texts;
  const SequencePages& where;
  const AttentionShape& shape;
  const PagedKv& cache;

  int64_t count(int64_t sequence) const {
    return texts.cu_seqlens[sequence + 1] - texts.cu_seqlens[sequence];
  }
  int64_t past(int64_t sequence) const { return where.lengths[sequence] - count(sequence); }
};

// (sequence, key-value head) pairs are shared among the threads.
template <typename Scalar>
void attend_few_cpu(const PagedProblem& problem, const std::vector<int64_t>& sequences,
                    torch::Tensor& result) {
  const AttentionShape& shape = problem.shape;
  const int64_t group = shape.num_heads / shape.num_kv_heads;
  const int64_t row_size = shape.num_kv_heads * shape.head_dim;
  const auto* rows = problem.qkv.const_data_ptr<Scalar>();
  const auto* keys = problem.cache.keys.const_data_ptr<Scalar>();
  const auto* values = problem.cache.values.const_data_ptr<Scalar>();
  const auto* pages = problem.where.pages.const_data_ptr<int32_t>();
  auto* out = result.mutable_data_ptr<Scalar>();
  const int64_t page_tokens = problem.cache.keys.size(1);
  const int64_t pairs = static_cast<int64_t>(sequences.size()) * shape.num_kv_heads;
  at::parallel_for(0, pairs, 1, [&](int64_t begin, int64_t end) {
    HeadScratch scratch;
    for (int64_t pair = begin; pair < end; ++pair) {
      const int64_t sequence = sequences[pair / shape.num_kv_heads];
      const int64_t head = pair % shape.num_kv_heads;
      const int32_t* table = pages + sequence * problem.where.pages.size(1);
      const int64_t offset = head * shape.head_dim;
      const HeadRows<Scalar> head_keys{keys + offset, table, page_tokens, row_size};
      const HeadRows<Scalar> head_values{values + offset, table, page_tokens, row_size};
      const int64_t place = head * group * shape.head_dim;
      for (int64_t i = 0; i < problem.count(sequence); ++i) {
        const int64_t token = problem.texts.cu_seqlens[sequence] + i;
        attend_group(rows + token * shape.qkv_size() + place, head_keys, head_values,
                     problem.past(sequence) + i + 1, group, shape.head_dim, scratch,
                     out + token * shape.num_heads * shape.head_dim + place);
      }
    }
  });
}

// One sequence by a library's attention, its keys and values gathered from their pages.
void attend_gathered(const PagedProblem& problem, int64_t sequence, torch::Tensor result) {
  const AttentionShape& shape = problem.shape;
  const int64_t count = problem.count(sequence);
  const int64_t length = problem.where.lengths[sequence];
  const int64_t page_tokens = problem.cache.keys.size(1);
  const torch::Tensor table =
      problem.where.pages[sequence].narrow(0, 0, (length + page_tokens - 1) / page_tokens);
  const auto gather = [&](const torch::Tensor& paged) {
    return paged.index_select(0, table)
        .view({-1, shape.num_kv_heads, shape.head_dim})
        .narrow(0, 0, length)
        .permute({1, 0, 2})
        .unsqueeze(1);  // [kv heads, 1, length, D]
  };
  const int64_t group = shape.num_heads / shape.num_kv_heads;
  const auto expand = [&](const torch::Tensor& rows) { return rows.expand({-1, group, -1, -1}); };
  const torch::Tensor query = problem.qkv.narrow(0, problem.texts.cu_seqlens[sequence], count)
                                  .narrow(1, 0, shape.num_heads * shape.head_dim)
                                  .view({count, shape.num_kv_heads, group, shape.head_dim})
                                  .permute({1, 2, 0, 3});
  std::optional<torch::Tensor> mask;  // one new token sees everything
  if (count > 1) {
    mask = torch::ones({count, length}, query.options().dtype(torch::kBool)).tril(length - count);
  }
  const torch::Tensor mixed = at::scaled_dot_product_attention(
      query, expand(gather(problem.cache.keys)), expand(gather(problem.cache.values)), mask);
  result.view({count, shape.num_kv_heads, group, shape.head_dim})
      .copy_(mixed.permute({2, 0, 1, 3}));
}

void store(const PagedProblem& problem, PagedKv& cache) {
  const AttentionShape& shape = problem.shape;
  const int64_t size = shape.num_kv_heads * shape.head_dim;
  const auto put = [&](torch::Tensor& paged, int64_t column) {
    paged.view({-1, size}).index_copy_(0, problem.where.slots, problem.qkv.narrow(1, column, size));
  };
  put(cache.keys, shape.num_heads * shape.head_dim);
  put(cache.values, (shape.num_heads + shape.num_kv_heads) * shape.head_dim);
}

void check_cache(const PagedProblem& problem) {
  const AttentionShape& shape = problem.shape;
  const auto sequences = static_cast<int64_t>(problem.texts.cu_seqlens.size()) - 1;
  TORCH_CHECK(problem.qkv.dim() == 2 && problem.qkv.is_contiguous() &&
                  problem.qkv.size(1) == shape.qkv_size(),
              "cached_attention: qkv is ", problem.qkv.sizes(), "; expected [T, ", shape.qkv_size(),
              "]");
  for (const torch::Tensor& paged : {problem.cache.keys, problem.cache.values}) {
    TORCH_CHECK(
        paged.dim() == 4 && paged.is_contiguous() && paged.size(2) == shape.num_kv_heads &&
            paged.size(3) == shape.head_dim && paged.scalar_type() == problem.qkv.scalar_type(),
        "cached_attention: the cache is ", paged.scalar_type(), " ", paged.sizes(), "; expected ",
        problem.qkv.scalar_type(), " [pages, P, ", shape.num_kv_heads, ", ", shape.head_dim, "]");
  }
  const SequencePages& where = problem.where;
  TORCH_CHECK(where.pages.dim() == 2 && where.pages.scalar_type() == torch::kInt32 &&
                  where.pages.is_contiguous() && where.pages.size(0) == sequences &&
                  static_cast<int64_t>(where.lengths.size()) == sequences &&
                  where.slots.dim() == 1 && where.slots.size(0) == problem.qkv.size(0),
              "cached_attention: pages are ", where.pages.sizes(), ", slots ", where.slots.sizes(),
              "; expected [", sequences, ", N] and [", problem.qkv.size(0), "]");
  for (int64_t s = 0; s < sequences; ++s) {
    TORCH_CHECK(problem.past(s) >= 0 &&
                    where.lengths[s] <= where.pages.size(1) * problem.cache.keys.size(1),
                "cached_attention: sequence ", s, " has ", where.lengths[s], " tokens, ",
                problem.count(s), " of them new, in ", where.pages.size(1), " pages");
  }
}

}  // namespace

torch::Tensor cached_attention(const torch::Tensor& qkv, const PackedTexts& texts,
                               const SequencePages& where, const AttentionShape& shape,
                               PagedKv& cache) {
  const PagedProblem problem{qkv, texts, where, shape, cache};
  check_cache(problem);
  if (qkv.size(0) == 0) return torch::empty({0, shape.num_heads * shape.head_dim}, qkv.options());
  store(problem, cache);
  const auto sequences = static_cast<int64_t>(where.lengths.size());
  bool any_past = false;
  for (int64_t s = 0; s < sequences; ++s) any_past |= problem.past(s) > 0;
  if (!any_past) return attention(qkv, texts, shape);

  torch::Tensor result =
      torch::empty({qkv.size(0), shape.num_heads * shape.head_dim}, qkv.options());
  std::vector<int64_t> few;
  for (int64_t s = 0; s < sequences; ++s) {
    const int64_t first = texts.cu_seqlens[s];
    const int64_t count = problem.count(s);
    if (count == 0) continue;
    if (problem.past(s) == 0) {
      const std::vector<int32_t> alone = {0, static_cast<int32_t>(count)};
      result.narrow(0, first, count)
          .copy_(attention(qkv.narrow(0, first, count), {alone, qkv.device()}, shape));
    } else if (qkv.is_cpu() && count < kLibraryTokens) {
      few.push_back(s);
    } else {
      attend_gathered(problem, s, result.narrow(0, first, count));
    }
  }
  if (few.empty()) return result;
  AT_DISPATCH_FLOATING_TYPES_AND2(torch::kBFloat16, torch::kFloat16, qkv.scalar_type(),
                                  "cached_attention",
                                  [&] { attend_few_cpu<scalar_t>(problem, few, result); });
  return result;
}

}  // namespace foregate::nn
