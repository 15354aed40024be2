#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "trace/reader.h"

namespace foregate::offload {

/// Texts with their routing, one after another, as often as asked for.
class TextSource {
 public:
  virtual ~TextSource() = default;
  /// The next text; false at the end.
  virtual bool next(trace::Trace& text) = 0;
  /// Back to the first.
  virtual void rewind() = 0;
};

/// The texts of a trace directory in reading order, or some of them.
class TraceTexts : public TextSource {
 public:
  /// `chosen` says of every text whether it is read; empty: all. The directory outlives the source.
  explicit TraceTexts(const trace::TraceDirectory& directory, std::vector<bool> chosen = {});

  bool next(trace::Trace& text) override;
  void rewind() override;

 private:
  const trace::TraceDirectory& directory_;
  std::vector<bool> chosen_;
  size_t shard_ = 0;
  size_t text_ = 0;
  std::optional<trace::ShardReader> reader_;
};

}  // namespace foregate::offload
