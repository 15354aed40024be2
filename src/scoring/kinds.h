#pragma once

#include <memory>
#include <span>
#include <string_view>

#include "base/json.h"
#include "scoring/scorer.h"
#include "scoring/weights.h"

namespace foregate::scoring {

/// One kind of predictor: what runs it, and when it can predict. A new one is a line in kinds.cpp.
struct Kind {
  const char* name;
  bool next_token;  ///< leads it can predict at
  bool layer;
  bool pre_attention;
  bool features;  ///< reads hidden states
  bool tokens;    ///< knows tokens by their ids
  /// The scorer takes its tensors out of the weights, which must outlive it; `settings` is what the
  /// predictor was made with. Throws DataError if something is missing or does not fit.
  std::unique_ptr<Scorer> (*make_scorer)(PredictorIdentity identity, const Weights& weights,
                                         const JsonReader& settings);

  bool supports(const Lead& lead) const;
};

std::span<const Kind> kinds();
/// nullptr if there is none of that name.
const Kind* find_kind(std::string_view name);

}  // namespace foregate::scoring
