#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "trace/reader.h"

namespace foregate::trace {

enum class Split : uint8_t { kTrain, kValidation, kTest };

/// Shares of the texts in each split, by default 80 / 10 / 10.
struct SplitOptions {
  double validation = 0.1;
  double test = 0.1;
};

/// What the split of a text depends on, beside the seed and the other texts.
struct SplitText {
  std::string dataset;
  int64_t sample = 0;
  std::vector<int32_t> token_ids;
};

/// The split of every text: by text, stratified by dataset, fixed by `seed`. Texts that
/// duplicate_groups() joins fall on the same side. In each dataset the number of test and of
/// validation texts is the share rounded to the nearest whole number, at least one from three texts
/// on, as far as duplicates allow. The order of the texts does not matter. Throws UsageError if the
/// shares leave nothing to train on.
std::vector<Split> split_texts(const std::vector<SplitText>& texts, uint64_t seed,
                               const SplitOptions& options = {});

/// The split of every trace of a directory, in reading order (shard by shard, row by row), by the
/// manifest's seed. Holds all token ids in memory while it runs.
std::vector<Split> split_traces(const TraceDirectory& traces, const SplitOptions& options = {});

std::string_view split_name(Split split);

}  // namespace foregate::trace
