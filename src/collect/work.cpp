#include "collect/work.h"

#include <algorithm>

namespace foregate::collect {

int64_t ShardWork::num_tokens() const {
  int64_t tokens = 0;
  for (const TokenizedText& text : texts) tokens += static_cast<int64_t>(text.ids.size());
  return tokens;
}

int64_t ShardWork::num_feature_texts() const {
  return std::count_if(texts.begin(), texts.end(),
                       [](const auto& text) { return text.with_features; });
}

int64_t ShardWork::num_feature_tokens() const {
  int64_t tokens = 0;
  for (const TokenizedText& text : texts) {
    if (text.with_features) tokens += static_cast<int64_t>(text.ids.size());
  }
  return tokens;
}

int64_t num_tokens(const ShardWork& work, BatchRange range) {
  int64_t tokens = 0;
  for (size_t i = range.first_text; i < range.first_text + range.num_texts; ++i) {
    tokens += static_cast<int64_t>(work.texts[i].ids.size());
  }
  return tokens;
}

std::vector<BatchRange> cut_batches(const ShardWork& work, int64_t budget) {
  const int64_t total = work.num_tokens();
  const int64_t batches = std::max<int64_t>(1, (total + budget - 1) / budget);
  const int64_t target = (total + batches - 1) / batches;
  std::vector<BatchRange> ranges;
  BatchRange open;
  int64_t tokens = 0;
  for (size_t i = 0; i < work.texts.size(); ++i) {
    const auto length = static_cast<int64_t>(work.texts[i].ids.size());
    const bool full = tokens >= target || tokens + length > budget;
    if (open.num_texts > 0 && full) {
      ranges.push_back(open);
      open = {i, 0};
      tokens = 0;
    }
    ++open.num_texts;
    tokens += length;
  }
  if (open.num_texts > 0) ranges.push_back(open);
  return ranges;
}

}  // namespace foregate::collect
