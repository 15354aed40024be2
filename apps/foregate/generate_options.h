#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "engine/generation/defaults.h"
#include "engine/generation/request.h"

namespace CLI {
class App;
}

namespace foregate {

/// How texts are continued, as the command line says it; what it does not say is the model's.
struct GenerationArguments {
  std::optional<int64_t> max_tokens;
  std::optional<double> temperature, top_p, min_p, repetition_penalty;
  std::optional<int64_t> top_k;
  std::optional<double> presence_penalty, frequency_penalty;
  std::vector<std::string> logit_bias;  ///< ID=VALUE
  std::vector<std::string> stop;
  std::vector<int> stop_ids;
  bool ignore_eos = false;
  std::optional<int64_t> logprobs;
  uint64_t seed = 0;
};

inline constexpr int64_t kDefaultMaxTokens = 256;

void add_generation_options(CLI::App& command, GenerationArguments& arguments);

/// A request without a prompt, as the arguments and, where they are silent, the model's defaults
/// have it. Throws UsageError.
engine::GenerationRequest parse_generation(const GenerationArguments& arguments,
                                           const engine::GenerationDefaults& defaults,
                                           int64_t vocab_size);

}  // namespace foregate
