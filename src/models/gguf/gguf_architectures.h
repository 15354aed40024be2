#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/containers/gguf_header.h"

namespace foregate::models {

/// Values of expert_gating_func (llama.cpp: llama_expert_gating_func_type).
inline constexpr int64_t kSoftmaxGating = 1;
inline constexpr int64_t kSigmoidGating = 2;
inline constexpr int64_t kSoftmaxOfChosenGating = 3;

/// What sets one architecture apart from the others in GGUF. All else follows from its ConfigTable.
struct GgufArchitecture {
  std::string_view name;        ///< general.architecture, and what its keys begin with
  std::string_view model_type;  ///< see Architecture
  /// Rows of a query or key head are stored in the order in which they are rotated in pairs: 0,
  /// D/2, 1, D/2 + 1, ...
  bool paired_heads = false;
  /// Whether the weights of the chosen experts are divided by their sum, where neither the file nor
  /// the architecture says it.
  bool norm_topk = false;
  /// expert_gating_func, which tells those of one name apart; files may leave out that of the
  /// first.
  int64_t gating = kSoftmaxGating;
  /// YaRN's range is not rounded, which no key says.
  bool exact_yarn = false;
};

/// The one that the file names. Throws DataError, listing what is supported, if there is none.
const GgufArchitecture& find_gguf_architecture(const GgufHeader& header);

}  // namespace foregate::models
