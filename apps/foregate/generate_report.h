#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "engine/generation/generator.h"
#include "text/tokenizer/tokenizer.h"

namespace foregate {

/// A prompt's row in the results. `tokenizer` may be null.
Json generation_row(const engine::GenerationResult& result, const std::string& prompt,
                    const text::Tokenizer* tokenizer);

/// {"p50", "p95"}: the smallest value that so large a share of all does not exceed; null of none.
Json quantiles(const std::vector<double>& values);

/// Times, rates and memory of a run. Quantiles of nothing are null.
Json generation_stats(const engine::GenerationStats& stats, const engine::Generator& generator,
                      torch::Device device);

/// The same in a sentence, for people.
std::string generation_summary(const engine::GenerationStats& stats);

}  // namespace foregate
