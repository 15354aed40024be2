#include "stats/clustered_usage.h"

#include <algorithm>

#include "stats/sums.h"

namespace foregate::stats {

ClusteredUsage::ClusteredUsage(const trace::Geometry& geometry)
    : num_layers_(geometry.num_moe_layers),
      num_experts_(geometry.num_experts),
      top_k_(geometry.top_k),
      chosen_(static_cast<size_t>(num_layers_) * num_experts_),
      squares_(chosen_.size()),
      products_(chosen_.size()),
      text_(chosen_.size()) {}

void ClusteredUsage::add(const trace::Trace& trace) {
  const int64_t tokens = trace.num_tokens();
  if (tokens == 0) return;
  std::fill(text_.begin(), text_.end(), 0);
  const uint16_t* expert = trace.experts.data();
  for (int64_t token = 0; token < tokens; ++token) {
    int32_t* counts = text_.data();
    for (int layer = 0; layer < num_layers_; ++layer, counts += num_experts_) {
      for (int rank = 0; rank < top_k_; ++rank) ++counts[*expert++];
    }
  }
  for (size_t i = 0; i < text_.size(); ++i) {
    const int64_t x = text_[i];
    chosen_[i] += x;
    squares_[i] += x * x;
    products_[i] += x * tokens;
  }
  ++texts_;
  tokens_ += tokens;
  token_squares_ += tokens * tokens;
}

void ClusteredUsage::merge(const ClusteredUsage& other) {
  texts_ += other.texts_;
  tokens_ += other.tokens_;
  token_squares_ += other.token_squares_;
  add_into(chosen_, other.chosen_);
  add_into(squares_, other.squares_);
  add_into(products_, other.products_);
}

ClusteredUsage ClusteredUsage::without(const ClusteredUsage& part) const {
  ClusteredUsage rest = *this;
  rest.texts_ -= part.texts_;
  rest.tokens_ -= part.tokens_;
  rest.token_squares_ -= part.token_squares_;
  for (size_t i = 0; i < chosen_.size(); ++i) {
    rest.chosen_[i] -= part.chosen_[i];
    rest.squares_[i] -= part.squares_[i];
    rest.products_[i] -= part.products_[i];
  }
  return rest;
}

Share ClusteredUsage::share(int layer, int expert) const {
  const size_t cell = static_cast<size_t>(layer) * num_experts_ + expert;
  Share share;
  share.tokens = static_cast<double>(tokens_);
  share.chosen = static_cast<double>(chosen_[cell]);
  if (tokens_ == 0) return share;
  const double p = share.chosen / share.tokens;
  // Independent tokens, with half a token more on each side so that 0 and n are not certain.
  const double smoothed = (share.chosen + 0.5) / (share.tokens + 1);
  share.variance = smoothed * (1 - smoothed) / share.tokens;
  if (texts_ < 2) return share;
  const double residuals = static_cast<double>(squares_[cell]) -
                           2 * p * static_cast<double>(products_[cell]) +
                           p * p * static_cast<double>(token_squares_);
  const auto texts = static_cast<double>(texts_);
  share.variance = std::max(share.variance, texts / (texts - 1) * std::max(0.0, residuals) /
                                                (share.tokens * share.tokens));
  return share;
}

}  // namespace foregate::stats
