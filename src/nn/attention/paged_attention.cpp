#include "nn/attention/paged_attention.h"

#include <torch/types.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "nn/attention/page_rows.h"
#include "nn/thread_share.h"

namespace foregate::nn {
namespace {

// Queries that meet the same rows and are computed by one thread.
constexpr int64_t kQueriesAtOnce = 8;

constexpr float kNoSink = -std::numeric_limits<float>::infinity();

// exp(scores - largest), normalised; a sink is a score that is counted and left out.
void softmax_in_place(float* scores, int64_t count, float sink) {
  const float largest = std::max(sink, *std::max_element(scores, scores + count));
  float sum = std::exp(sink - largest);
  for (int64_t i = 0; i < count; ++i) {
    scores[i] = std::exp(scores[i] - largest);
    sum += scores[i];
  }
  for (int64_t i = 0; i < count; ++i) scores[i] /= sum;
}

// Rows of one key-value head of one sequence.
template <typename Scalar>
struct HeadRows {
  HeadRows(const PagedRows& paged, int64_t head, const int32_t* sequence_pages)
      : first(paged.rows.const_data_ptr<Scalar>() + head * paged.rows.stride(2)),
        scales(paged.scales.defined() ? paged.scales.const_data_ptr<float>() + head : nullptr),
        heads(paged.rows.size(2)),
        pages(sequence_pages),
        page_tokens(paged.rows.size(1)),
        page_stride(paged.rows.stride(0)),
        row_stride(paged.rows.stride(1)),
        size(paged.rows.size(3)) {}

  const Scalar* first;   // row 0 of page 0
  const float* scales;   // of the same row, or null
  int64_t heads;         // between two rows' scales
  const int32_t* pages;  // of the sequence
  int64_t page_tokens;   // P
  int64_t page_stride;
  int64_t row_stride;
  int64_t size;  // of a row

  // work(token, rows from its own on), for the tokens from `begin` to `end`, page by page.
  template <typename Work>
  void for_each_page(int64_t begin, int64_t end, const Work& work) const {
    for (int64_t token = begin; token < end;) {
      const int64_t index = token / page_tokens;
      const int64_t page = pages[index];
      const int64_t place = token - index * page_tokens;
      const int64_t page_end = std::min(end, (index + 1) * page_tokens);
      work(token, PageRows<Scalar>{.first = first + page * page_stride + place * row_stride,
                                   .count = page_end - token,
                                   .stride = row_stride,
                                   .size = size,
                                   .scales = scales == nullptr
                                                 ? nullptr
                                                 : scales + (page * page_tokens + place) * heads,
                                   .scale_stride = heads});
      token = page_end;
    }
  }
};

// Scratch of one thread.
struct HeadScratch {
  std::vector<float> query, scores, mixed;
};

// Queries of one token that share a key-value head.
struct GroupScope {
  int64_t begin;       // of the rows that they see
  int64_t end;         // behind the last of them
  int64_t queries;     // of the group
  float scale;         // of scores
  const float* sinks;  // [queries], or null
};

// Keys and values are read once for all queries.
template <typename Scalar, typename Row>
void attend_group(const Scalar* query, const HeadRows<Row>& keys, const HeadRows<Row>& values,
                  const GroupScope& scope, HeadScratch& scratch, Scalar* result) {
  const int64_t key_dim = keys.size;
  const int64_t value_dim = values.size;
  const int64_t group = scope.queries;
  const int64_t length = scope.end - scope.begin;
  scratch.query.resize(group * key_dim);
  scratch.scores.resize(group * length);
  scratch.mixed.assign(group * value_dim, 0.0F);
  for (int64_t i = 0; i < group * key_dim; ++i) {
    scratch.query[i] = scope.scale * static_cast<float>(query[i]);
  }
  keys.for_each_page(scope.begin, scope.end, [&](int64_t token, const PageRows<Row>& rows) {
    for (int64_t g = 0; g < group; ++g) {
      float* scores = &scratch.scores[g * length + token - scope.begin];
      score_page(&scratch.query[g * key_dim], rows, scores);
      rows.scale(scores);
    }
  });
  for (int64_t g = 0; g < group; ++g) {
    softmax_in_place(&scratch.scores[g * length], length,
                     scope.sinks == nullptr ? kNoSink : scope.sinks[g]);
  }
  values.for_each_page(scope.begin, scope.end, [&](int64_t token, const PageRows<Row>& rows) {
    for (int64_t g = 0; g < group; ++g) {
      float* weights = &scratch.scores[g * length + token - scope.begin];
      rows.scale(weights);
      mix_page(weights, rows, &scratch.mixed[g * value_dim]);
    }
  });
  for (int64_t i = 0; i < group * value_dim; ++i) result[i] = static_cast<Scalar>(scratch.mixed[i]);
}

struct PagedProblem {
  const torch::Tensor& query;
  const PagedRows& keys;
  const PagedRows& values;
  const PagedStep& step;
  const std::vector<int64_t>& sequences;
  float scale;
  const torch::Tensor& result;
  const LayerAttention& layer;

  const float* sinks(int64_t head) const {
    return layer.sinks.defined() ? layer.sinks.const_data_ptr<float>() + head : nullptr;
  }
};

// Multiplications of all queries with all rows they may see.
int64_t products_of(const PagedProblem& problem) {
  int64_t pairs = 0;
  for (const int64_t sequence : problem.sequences) {
    pairs += problem.step.count(sequence) * problem.step.where.lengths[sequence];
  }
  return pairs * problem.query.size(1) * (problem.keys.rows.size(3) + problem.values.rows.size(3));
}

// Sequences, key-value heads and parts of their groups are shared among the threads.
template <typename Scalar, typename Row>
void attend_all(const PagedProblem& problem) {
  const int64_t kv_heads = problem.keys.rows.size(2);
  const int64_t group = problem.query.size(1) / kv_heads;
  const int64_t parts = (group + kQueriesAtOnce - 1) / kQueriesAtOnce;
  const auto* query = problem.query.const_data_ptr<Scalar>();
  auto* result = problem.result.mutable_data_ptr<Scalar>();
  const torch::Tensor& pages = problem.step.where.pages;
  const int64_t shares = static_cast<int64_t>(problem.sequences.size()) * kv_heads * parts;
  const int64_t each = products_of(problem) / std::max<int64_t>(shares, 1);
  share_among_threads(shares, each, [&](int64_t begin, int64_t end) {
    HeadScratch scratch;
    for (int64_t share = begin; share < end; ++share) {
      const int64_t sequence = problem.sequences[share / (kv_heads * parts)];
      const int64_t kv_head = share / parts % kv_heads;
      const int64_t first = share % parts * kQueriesAtOnce;
      const int64_t head = kv_head * group + first;
      const int32_t* table = pages.const_data_ptr<int32_t>() + sequence * pages.size(1);
      const HeadRows<Row> keys(problem.keys, kv_head, table);
      const HeadRows<Row> values(problem.values, kv_head, table);
      for (int64_t i = 0; i < problem.step.count(sequence); ++i) {
        const int64_t token = problem.step.first(sequence) + i;
        const int64_t length = problem.step.past(sequence) + i + 1;
        const int64_t window = problem.layer.window > 0 ? problem.layer.window : length;
        const GroupScope scope{.begin = std::max<int64_t>(0, length - window),
                               .end = length,
                               .queries = std::min(kQueriesAtOnce, group - first),
                               .scale = problem.scale,
                               .sinks = problem.sinks(head)};
        attend_group(query + token * problem.query.stride(0) + head * problem.query.stride(1), keys,
                     values, scope, scratch,
                     result + token * problem.result.stride(0) + head * problem.result.stride(1));
      }
    }
  });
}

}  // namespace

bool PagedStep::one_each() const {
  for (int64_t s = 0; s < sequences(); ++s) {
    if (count(s) != 1) return false;
  }
  return true;
}

bool PagedStep::any_past() const {
  for (int64_t s = 0; s < sequences(); ++s) {
    if (past(s) > 0) return true;
  }
  return false;
}

void PagedStep::check(int64_t tokens, const torch::Tensor& paged) const {
  const auto expected = static_cast<int64_t>(texts.cu_seqlens.size()) - 1;
  TORCH_CHECK(where.pages.dim() == 2 && where.pages.scalar_type() == torch::kInt32 &&
                  where.pages.is_contiguous() && where.pages.size(0) == expected &&
                  sequences() == expected && where.slots.dim() == 1 &&
                  where.slots.size(0) == tokens,
              "cached attention: pages are ", where.pages.sizes(), ", slots ", where.slots.sizes(),
              "; expected [", expected, ", N] and [", tokens, "]");
  for (int64_t s = 0; s < sequences(); ++s) {
    TORCH_CHECK(past(s) >= 0 && where.lengths[s] <= where.pages.size(1) * paged.size(1),
                "cached attention: sequence ", s, " has ", where.lengths[s], " tokens, ", count(s),
                " of them new, in ", where.pages.size(1), " pages");
  }
}

std::optional<torch::Tensor> causal_mask(int64_t count, int64_t length, torch::Device device) {
  if (count == 1) return std::nullopt;
  return torch::ones({count, length}, torch::dtype(torch::kBool).device(device))
      .tril(length - count);
}

void attend_paged(const torch::Tensor& query, const PagedRows& keys, const PagedRows& values,
                  const PagedStep& step, const std::vector<int64_t>& sequences, double scale,
                  const torch::Tensor& result, const LayerAttention& layer) {
  const PagedProblem problem{query,  keys, values, step, sequences, static_cast<float>(scale),
                             result, layer};
  AT_DISPATCH_FLOATING_TYPES_AND2(torch::kBFloat16, torch::kFloat16, query.scalar_type(),
                                  "attend_paged", [&] {
                                    keys.scales.defined() ? attend_all<scalar_t, int8_t>(problem)
                                                          : attend_all<scalar_t, scalar_t>(problem);
                                  });
}

}  // namespace foregate::nn
