#pragma once

#include <compare>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "stats/bootstrap.h"

namespace foregate::stats {

/// What is measured of a decision, given the m highest-scored experts.
enum class Metric {
  kRecall,    ///< share of the true experts among the m
  kExactSet,  ///< whether all of them are
  kGateMass,  ///< share of the decision's gate weight that those found carry
  kTop1,      ///< whether the highest-scored expert is the highest-weighted true one; has no m
};

/// A metric with its budget m.
struct MetricKey {
  Metric kind = Metric::kRecall;
  int budget = 0;  ///< 0 for kTop1

  auto operator<=>(const MetricKey&) const = default;
};

constexpr MetricKey recall_at(int budget) {
  return {Metric::kRecall, budget};
}

/// "recall@16", "exact-set@16", "gate-mass@16", "top-1": as JSON and tables name them.
std::string metric_name(const MetricKey& key);
/// The metric of such a name; nothing if it is none.
std::optional<MetricKey> parse_metric(std::string_view name);

/// Recall, exact set and gate mass at each budget, then top-1: the order in which they are shown.
std::vector<MetricKey> metric_keys(const std::vector<int>& budgets);

/// Measured metrics in the order in which they are shown.
class MetricTable {
 public:
  using Entry = std::pair<MetricKey, Interval>;

  MetricTable() = default;
  MetricTable(std::initializer_list<Entry> entries) : entries_(entries) {}

  void add(const MetricKey& key, const Interval& value) { entries_.emplace_back(key, value); }
  /// Null if it was not measured.
  const Interval* find(const MetricKey& key) const;

  bool empty() const { return entries_.empty(); }
  size_t size() const { return entries_.size(); }
  const Entry& front() const { return entries_.front(); }
  auto begin() const { return entries_.begin(); }
  auto end() const { return entries_.end(); }

 private:
  std::vector<Entry> entries_;
};

}  // namespace foregate::stats
