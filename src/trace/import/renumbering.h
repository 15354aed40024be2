#pragma once

// Internal to trace/.

#include <cstdint>
#include <string>
#include <unordered_map>

#include "trace/import/source.h"
#include "trace/token_names.h"

namespace foregate::trace {

/// An export brings the ids of its trace along, and the strings behind them. Ids by first
/// appearance, which are good for one trace alone, become those that every import gives now; so do
/// hashes if a tokenizer is given.
class Renumbering {
 public:
  Renumbering(const TraceSource& source, const ImportOptions& options);

  /// What the ids are afterwards.
  TokenIds kind() const { return kind_; }
  void apply(SourceText& text) const;
  /// The names behind the new ids; those of the source if nothing is renumbered.
  const TokenNames& names() const { return needed_ ? names_ : source_.names(); }

 private:
  const TraceSource& source_;
  TokenIds kind_;
  bool needed_;
  TokenNames names_;
  std::unordered_map<int32_t, int32_t> new_ids_;
};

}  // namespace foregate::trace
