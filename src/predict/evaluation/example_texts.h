#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "predict/evaluation/candidates.h"
#include "predict/texts/routed_text.h"
#include "stats/evaluation/examples.h"

namespace foregate::predict {

/// Keeps the beginnings of the first texts of each dataset, as long as those of
/// stats::ExpertPaths, with what every candidate foresaw. Texts shorter than those are passed over.
class ExampleTexts {
 public:
  /// The candidates must outlive it.
  ExampleTexts(const std::vector<Candidate>& candidates, int64_t per_dataset)
      : candidates_(candidates), per_dataset_(per_dataset) {}

  void add(const RoutedText& text);
  const std::vector<stats::ExampleText>& texts() const { return texts_; }

 private:
  const std::vector<Candidate>& candidates_;
  int64_t per_dataset_;
  std::map<std::string, int64_t> kept_;
  std::vector<stats::ExampleText> texts_;
};

}  // namespace foregate::predict
