#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "trace/trace.h"

namespace foregate::stats {

/// The beginnings of a few texts with all their decisions, to be looked at one by one: of each
/// dataset those that come first in it, texts of at least kWanted tokens before shorter ones.
class ExpertPaths {
 public:
  static constexpr int kTokens = 48;        ///< kept of a text
  static constexpr int kWanted = 16;        ///< shorter texts only where there are no others
  static constexpr size_t kPerDataset = 3;  ///< texts kept of a dataset
  static constexpr size_t kDatasets = 64;   ///< datasets kept, by name

  void add(const trace::Trace& trace, const trace::Geometry& geometry);
  void merge(const ExpertPaths& other);

  /// At most `limit` texts, every dataset's first before any dataset's second. Cut to kTokens.
  std::vector<const trace::Trace*> choose(size_t limit) const;

 private:
  void keep(const std::string& dataset, bool is_short, const trace::Trace& trace);
  void shrink();

  /// By dataset; inside it by (short, sample).
  std::map<std::string, std::map<std::pair<bool, int64_t>, trace::Trace>> texts_;
};

}  // namespace foregate::stats
