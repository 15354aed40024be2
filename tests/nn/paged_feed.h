#pragma once

#include <torch/types.h>

#include <algorithm>
#include <numeric>
#include <vector>

#include "base/random.h"
#include "nn/attention/paged_attention.h"

namespace foregate::testing {

/// Sequences whose rows are known beforehand, fed to a cache piece by piece.
struct PagedFeed {
  PagedFeed(std::vector<torch::Tensor> sequence_rows,  // [tokens, any] each
            int64_t tokens_of_a_page)
      : rows(std::move(sequence_rows)), page_tokens(tokens_of_a_page) {
    num_pages = 3;  // more than are needed
    for (const torch::Tensor& each : rows) {
      num_pages += (each.size(0) + page_tokens - 1) / page_tokens;
    }
    std::vector<int32_t> order(num_pages);
    std::iota(order.begin(), order.end(), 0);
    Random(7).shuffle(order);
    tables.resize(rows.size());
    size_t next = 0;
    for (size_t s = 0; s < rows.size(); ++s) {
      for (int64_t token = 0; token < rows[s].size(0); token += page_tokens) {
        tables[s].push_back(order[next++]);
      }
      longest = std::max(longest, tables[s].size());
    }
    lengths.assign(rows.size(), 0);
  }

  /// Pages of a cache. What was never written must not matter.
  torch::Tensor empty_pages(int64_t heads, int64_t size) const {
    return torch::full({num_pages, page_tokens, heads, size}, NAN, rows[0].options());
  }

  /// The same of int8.
  nn::PagedRows empty_int8_pages(int64_t heads, int64_t size) const {
    return {torch::full({num_pages, page_tokens, heads, size}, 99, torch::kInt8),
            torch::full({num_pages, page_tokens, heads}, NAN, torch::kFloat32)};
  }

  struct Step {
    torch::Tensor rows;
    std::vector<int32_t> cu_seqlens{0};
    nn::SequencePages pages;
  };
  /// Adds so many tokens to each sequence.
  Step step(const std::vector<int64_t>& counts) {
    Step step;
    std::vector<torch::Tensor> fresh;
    std::vector<int64_t> slots;
    torch::Tensor pages = torch::zeros(
        {static_cast<int64_t>(rows.size()), static_cast<int64_t>(longest)}, torch::kInt32);
    for (size_t s = 0; s < rows.size(); ++s) {
      fresh.push_back(rows[s].narrow(0, lengths[s], counts[s]));
      for (int64_t i = 0; i < counts[s]; ++i, ++lengths[s]) {
        slots.push_back(tables[s][lengths[s] / page_tokens] * page_tokens +
                        lengths[s] % page_tokens);
      }
      step.cu_seqlens.push_back(step.cu_seqlens.back() + static_cast<int32_t>(counts[s]));
      for (size_t i = 0; i < tables[s].size(); ++i) {
        pages.index_put_({static_cast<int64_t>(s), static_cast<int64_t>(i)}, tables[s][i]);
      }
    }
    step.rows = torch::cat(fresh);
    step.pages = {lengths, pages, torch::tensor(slots, torch::kInt64)};
    return step;
  }

  std::vector<torch::Tensor> rows;
  int64_t page_tokens;
  int64_t num_pages = 0;
  std::vector<std::vector<int32_t>> tables;
  size_t longest = 0;
  std::vector<int64_t> lengths;
};

/// Rows as int8 pages have them: each multiple of a 127th of its largest magnitude.
inline torch::Tensor rounded_to_int8(const torch::Tensor& rows) {  // [..., D]
  const torch::Tensor values = rows.to(torch::kFloat32);
  const torch::Tensor scale = values.abs().amax(-1, /*keepdim=*/true) / 127;
  return ((values / scale).round() * scale).to(rows.scalar_type());
}

/// Prompts of unequal lengths, then steps in which some grow by one, some by a few, some by many,
/// some not at all: counts for four sequences.
inline const std::vector<std::vector<int64_t>> kGrowth = {
    {1, 31, 0, 40}, {1, 1, 5, 1}, {1, 1, 1, 0}, {30, 20, 33, 3}, {1, 1, 1, 1}, {0, 15, 16, 17}};

inline std::vector<int64_t> grown_lengths() {
  std::vector<int64_t> lengths(4, 0);
  for (const auto& counts : kGrowth) {
    for (size_t s = 0; s < 4; ++s) lengths[s] += counts[s];
  }
  return lengths;
}

/// Runs kGrowth; what `attend` makes of each step, put together by sequence.
template <typename Attend>
std::vector<torch::Tensor> grow(PagedFeed& feed, const Attend& attend) {
  std::vector<std::vector<torch::Tensor>> parts(4);
  for (const auto& counts : kGrowth) {
    const torch::Tensor mixed = attend(feed.step(counts));
    int64_t first = 0;
    for (size_t s = 0; s < 4; ++s) {
      parts[s].push_back(mixed.narrow(0, first, counts[s]));
      first += counts[s];
    }
  }
  std::vector<torch::Tensor> whole;
  for (const auto& each : parts) whole.push_back(torch::cat(each));
  return whole;
}

}  // namespace foregate::testing
