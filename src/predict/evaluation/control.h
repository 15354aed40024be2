#pragma once

#include <cstdint>

#include "nn/routers.h"
#include "predict/texts/routed_text.h"

namespace foregate::predict {

/// The own-router control: layer l's router on layer l's recorded input must give the recorded
/// decision, expert for expert in rank order. Anything but 100% means that features and decisions
/// do not belong together.
class OwnRouterControl {
 public:
  explicit OwnRouterControl(const nn::Routers& routers) : routers_(routers) {}

  /// Texts without features are passed over.
  void add(const RoutedText& text);
  int64_t decisions() const { return decisions_; }
  int64_t matches() const { return matches_; }
  /// Throws DataError that says how many decisions differ, where the first one is and what that
  /// means.
  void require_perfect(const std::string& trace) const;

 private:
  const nn::Routers& routers_;
  int64_t decisions_ = 0;
  int64_t matches_ = 0;
  std::string first_mismatch_;
  int64_t texts_ = 0;
};

}  // namespace foregate::predict
