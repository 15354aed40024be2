#pragma once

#include <cstdint>
#include <vector>

#include "trace/trace.h"

namespace foregate::stats {

/// Which of a text's true experts a predictor had among its k best.
struct Foresight {
  int first_layer = 0;         ///< MoE layers before it cannot be predicted at its lead
  std::vector<uint8_t> found;  ///< [n][L][k] in the order of Trace::experts, 0 before first_layer
};

/// The beginning of a text that predictors were measured on, with what each foresaw of it.
struct ExampleText {
  trace::Trace text;                  ///< ids, experts and what names it
  std::vector<Foresight> foresights;  ///< one for each of Evaluation::rows
};

}  // namespace foregate::stats
