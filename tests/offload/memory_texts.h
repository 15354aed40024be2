#pragma once

#include <cstddef>
#include <utility>
#include <vector>

#include "offload/replay/text_source.h"

namespace foregate::testing {

/// Texts that lie in memory.
class MemoryTexts : public offload::TextSource {
 public:
  explicit MemoryTexts(std::vector<trace::Trace> texts) : texts_(std::move(texts)) {}

  bool next(trace::Trace& text) override {
    if (next_ == texts_.size()) return false;
    text = texts_[next_++];
    return true;
  }
  void rewind() override { next_ = 0; }

 private:
  std::vector<trace::Trace> texts_;
  size_t next_ = 0;
};

}  // namespace foregate::testing
