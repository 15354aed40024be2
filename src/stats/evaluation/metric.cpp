#include "stats/evaluation/metric.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace foregate::stats {
namespace {

constexpr std::string_view kTop1Name = "top-1";

struct BudgetedMetric {
  Metric kind;
  std::string_view name;  // in front of "@m"
};

/// Those that have a budget, in the order in which they are shown.
constexpr BudgetedMetric kBudgetedMetrics[] = {
    {Metric::kRecall, "recall"},
    {Metric::kExactSet, "exact-set"},
    {Metric::kGateMass, "gate-mass"},
};

std::optional<int> parse_budget(std::string_view digits) {
  int budget = 0;
  const char* end = digits.data() + digits.size();
  const auto [stop, error] = std::from_chars(digits.data(), end, budget);
  if (error != std::errc() || stop != end || budget < 1) return {};
  return budget;
}

}  // namespace

std::string metric_name(const MetricKey& key) {
  for (const BudgetedMetric& metric : kBudgetedMetrics) {
    if (metric.kind == key.kind) return fmt::format("{}@{}", metric.name, key.budget);
  }
  return std::string(kTop1Name);
}

std::optional<MetricKey> parse_metric(std::string_view name) {
  if (name == kTop1Name) return MetricKey{Metric::kTop1, 0};
  const size_t at = name.find('@');
  if (at == std::string_view::npos) return {};
  for (const BudgetedMetric& metric : kBudgetedMetrics) {
    if (metric.name != name.substr(0, at)) continue;
    const std::optional<int> budget = parse_budget(name.substr(at + 1));
    if (budget) return MetricKey{metric.kind, *budget};
  }
  return {};
}

std::vector<MetricKey> metric_keys(const std::vector<int>& budgets) {
  std::vector<MetricKey> keys;
  for (const int budget : budgets) {
    for (const BudgetedMetric& metric : kBudgetedMetrics) keys.push_back({metric.kind, budget});
  }
  keys.push_back({Metric::kTop1, 0});
  return keys;
}

const Interval* MetricTable::find(const MetricKey& key) const {
  const auto entry = std::find_if(entries_.begin(), entries_.end(),
                                  [&](const Entry& each) { return each.first == key; });
  return entry == entries_.end() ? nullptr : &entry->second;
}

}  // namespace foregate::stats
