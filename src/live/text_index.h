#pragma once

#include <torch/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "base/run_context.h"
#include "collect/source.h"
#include "trace/split/split.h"

namespace foregate::live {

/// What is known of the planned texts, in their order, before the model has run: a few bytes each.
struct TextIndex {
  std::vector<trace::Split> splits;
  std::vector<int32_t> lengths;  ///< tokens, after cutting
  std::vector<uint64_t> hashes;  ///< RoutedText::hash
  torch::Tensor training_ids;    ///< [S] int64, ascending: the ids of the training texts

  int64_t num_texts() const { return static_cast<int64_t>(splits.size()); }
  int64_t texts_of(trace::Split split) const;
  int64_t tokens_of(trace::Split split) const;
};

/// Tokenises all texts once, so that they can be split exactly as the recorded trace of the same
/// options is. Holds all token ids in memory while it runs. With `held_out`, see
/// hold_out_dataset(). Throws InterruptedError, or the errors of reading the texts.
TextIndex index_texts(const collect::Source& source, const std::string& held_out,
                      const RunContext& run);

/// The ids of a text as collect would record them: cut to --max-length.
std::vector<int32_t> token_ids_of(const collect::Source& source, const text::PlannedText& text);

}  // namespace foregate::live
