#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "predict/contestants.h"
#include "predict/routed_text.h"
#include "stats/foreseen.h"

namespace foregate {

/// Keeps the beginnings of the first texts of each dataset, as long as those of Journeys, with what
/// every contestant foresaw. Texts shorter than Journeys wants are passed over.
class ForeseenTexts {
 public:
  /// The contestants must outlive it.
  ForeseenTexts(const std::vector<Contestant>& contestants, int64_t per_dataset)
      : contestants_(contestants), per_dataset_(per_dataset) {}

  void add(const RoutedText& text);
  const std::vector<ForeseenText>& texts() const { return texts_; }

 private:
  const std::vector<Contestant>& contestants_;
  int64_t per_dataset_;
  std::map<std::string, int64_t> kept_;
  std::vector<ForeseenText> texts_;
};

}  // namespace foregate
