#pragma once

#include "stats/usage.h"

namespace foregate::stats {

/// Usage of prompt tokens and of generated ones, over the traces that have both.
class PhaseUsage {
 public:
  PhaseUsage() = default;
  explicit PhaseUsage(const trace::Geometry& geometry) : prompt_(geometry), generated_(geometry) {}

  void add(const trace::Trace& trace);
  void merge(const PhaseUsage& other);

  const UsageCounts& prompt() const { return prompt_; }
  const UsageCounts& generated() const { return generated_; }
  /// Whether a trace had both.
  bool any() const { return generated_.tokens() > 0; }

 private:
  UsageCounts prompt_;
  UsageCounts generated_;
};

}  // namespace foregate::stats
